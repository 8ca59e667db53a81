"""What was acknowledged is on the disk, whatever happens."""

import os

import pytest

from ssp_nerf.errors import InputError
from ssp_nerf.study import ratings as module
from ssp_nerf.study.ratings import Rating, RatingsFile, read_ratings
from tests.ssp_nerf.study.conftest import GOOD


def rating(number: int) -> Rating:
    return Rating("p", number, "the, method", f"clip {number}", GOOD)


def test_what_is_added_is_read(ratings):
    with RatingsFile(ratings) as file:
        file.add(rating(1))
        assert read_ratings(ratings) == [rating(1)]  # while it is open, too
        file.add(rating(2))
    with RatingsFile(ratings) as file:
        file.add(rating(3))
    assert read_ratings(ratings) == [rating(1), rating(2), rating(3)]


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_line_that_was_cut_off_goes_and_the_others_stay(ratings, cut):
    with RatingsFile(ratings) as file:
        file.add(rating(1))
        file.add(rating(2))
    ratings.write_bytes(ratings.read_bytes()[:-cut])
    assert read_ratings(ratings) == [rating(1)]
    with RatingsFile(ratings) as file:
        assert file.ratings == [rating(1)]
        file.add(rating(3))
    assert read_ratings(ratings) == [rating(1), rating(3)]


def test_two_servers_do_not_share_a_file(ratings):
    with RatingsFile(ratings) as file, pytest.raises(InputError, match="another server"):
        file.add(rating(1))
        RatingsFile(ratings)
    assert read_ratings(ratings) == [rating(1)]


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_a_full_disk_leaves_nothing_of_a_rating(ratings, monkeypatch, fails):
    with RatingsFile(ratings) as file:
        file.add(rating(1))
        before = ratings.read_bytes()
        write = os.write

        def full(descriptor, content=b""):
            if fails == "write":
                write(descriptor, content[:7])
                return 7
            raise OSError("no space")

        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(module.os, fails, full)
            file.add(rating(2))
        assert ratings.read_bytes() == before
        file.add(rating(3))
    assert read_ratings(ratings) == [rating(1), rating(3)]


def test_where_nobody_came_there_is_no_file(ratings):
    with RatingsFile(ratings):
        pass
    assert not ratings.exists()


def test_another_file_is_left_as_it_is(ratings):
    ratings.write_text("my,own,table\n1,2,3\n4")
    with pytest.raises(InputError, match="expected the columns"):
        RatingsFile(ratings)
    assert ratings.read_text() == "my,own,table\n1,2,3\n4"
