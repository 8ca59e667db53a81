"""Gather the ablations of the paper's tables 4 and 5: what each part of the method is worth.

Six portraits of one clip that differ in one switch each (`ssp_nerf.variants`), with the same steps
and the same seed. Their figures go to CSV and to a table in Markdown, and one held-out frame, as
all of them draw it, to a picture.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ssp_nerf import cli
from ssp_nerf.ablation_picture import write_picture
from ssp_nerf.ablation_table import (
    figures_table,
    read_row,
    require_comparable,
    table,
    write_csv,
)
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.progress import progress
from ssp_nerf.table_writer import latex
from ssp_nerf.variants import VARIANTS, variant_named


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.ablations", __doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5, holds the truth")
    parser.add_argument(
        "--landmarks", type=Path, required=True, help="landmarks.h5 of the whole clip (truth)"
    )
    parser.add_argument(
        "--variant",
        action="append",
        nargs="+",
        required=True,
        metavar=("NAME", "FILE"),
        help=f"once for each of {', '.join(variant.name for variant in VARIANTS)}: its name, its "
        "model folder, its metrics.json and the parts of its rendered held-out frames",
    )
    parser.add_argument("--csv", type=Path, required=True, help="a row for each variant, written")
    parser.add_argument("--markdown", type=Path, required=True, help="the table, written")
    parser.add_argument("--latex", type=Path, help="the table with booktabs, written")
    parser.add_argument("--picture", type=Path, required=True, help="PNG of one frame, written")

    def command(options: Namespace) -> None:
        files = {}
        for name, *paths in options.variant:
            if len(paths) < 3:
                raise InputError(
                    f"--variant {name}: got {len(paths)} paths, expected its model folder, its "
                    "metrics.json and the parts of its rendering."
                )
            files[variant_named(name)] = [Path(path) for path in paths]
        missing = [variant.name for variant in VARIANTS if variant not in files]
        if missing:
            raise InputError(f"--variant: {', '.join(missing)} missing. Pass all of them.")

        variants = progress(VARIANTS, "ablations", len(VARIANTS), "variant")
        rows = [read_row(variant, *files[variant][:2]) for variant in variants]
        require_comparable(rows)
        renders = {variant: files[variant][2:] for variant in VARIANTS}
        write_picture(options.picture, options.dataset, options.landmarks, renders)
        write_csv(options.csv, rows)
        text = table(rows)
        with whole_output(options.markdown) as partial:
            partial.write_text(text, encoding="utf-8")
        if options.latex:
            lines = latex(figures_table(rows))
            with whole_output(options.latex) as partial:
                partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(text)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
