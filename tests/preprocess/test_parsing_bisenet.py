BIS@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("facexlib") is None:
        pytest.skip("needs the package facexlib")
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = parsing_bisenet.bisenet_module().BiSeNet(num_class=19)
    torch.save(network.state_dict(), folder / parsing_bisenet.WEIGHTS)
    return folder


def test_a_missing_weight_file_is_one_line(
    clip: Parsed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "parsing.h5"
    inputs = ["--frames", clip.frames, "--landmarks", clip.landmarks, "--parsing", out]
    folder = tmp_path / "empty"
    line = refused(main, [*inputs, "--parser", "bisenet", "--weights", folder], capfd)
    for word in ("parsing_bisenet.pth", str(folder), "parsing.parser", "parsing.weights", "mesh"):
        assert word in line
    assert not list(tmp_path.iterdir())


def test_a_wrong_weight_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"something else")
    right = "d3b07384d113edec49eaa6238ad5ff00" * 2
    with pytest.raises(InputError, match=f"{right}.*folder {tmp_path}.*set a.b to c") as error:
        require_weights(tmp_path, "net.pth", "a.b", "c", sha256=right)
    assert "not the weight file" in str(error.value)
    assert require_weights(tmp_path, "net.pth", "a.b", "c") == path


@pytest.mark.parametrize("content", ["garbage", "other network", "code"])
def test_a_file_with_something_else_is_refused(content: str, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / parsing_bisenet.WEIGHTS
    if content == "garbage":
        path.write_bytes(b"\x80\x02 no weights")
    elif content == "other network":
        torch.save(OrderedDict(weight=torch.zeros(3)), path)
    else:
        torch.save({"weight": io.StringIO()}, path)  # would run code when unpickled
    with pytest.raises(InputError, match="expected the weights of facexlib's BiSeNet"):
        parsing_bisenet.load_network(tmp_path)


def test_bisenet_labels_are_the_networks(clip: Parsed, weights: Path, tmp_path: Path) -> None:
    """Two routes to the labels: the command, and the network called by hand on 512 x 512."""
    image = cv2.resize(clip.images[0], (512, 512))
    frames = write_frames(tmp_path / "frames.h5", image[None])
    landmarks = write_landmarks(tmp_path / "landmarks.h5", clip.points[:1, :68], 512, 512)
    out = tmp_path / "parsing.h5"
    inputs = ["--frames", frames, "--landmarks", landmarks, "--parsing", out]
    main([str(a) for a in [*inputs, "--parser", "bisenet", "--weights", weights]])
    labels = PARSING.read(out)[0]["parsing"][0]

    network = parsing_bisenet.load_network(weights)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        theirs = network((tensor - mean) / deviation)[0][0].argmax(0).numpy()
    # CelebAMask-HQ: 1 skin, 2-3 brows, 4-5 eyes, 6 glasses, 7-8 ears, 9 earring, 10 nose,
    # 11 inner mouth, 12-13 lips, 14 neck, 15 necklace, 16 cloth, 17 hair, 18 hat.
    ours = np.array([0, 1, 3, 3, 2, 2, 2, 4, 4, 4, 5, 6, 7, 7, 8, 8, 9, 10, 10])[theirs]
    assert (labels == ours).mean() > 0.999  # ties aside
    assert len(np.unique(labels)) > 1