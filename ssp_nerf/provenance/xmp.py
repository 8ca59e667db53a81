"""XMP in MP4 files: a box of its own at the end of the file, as XMP's specification part 3 has it.

ffmpeg does not write it. An MP4 or QuickTime file is a row of boxes, each of which begins with its
size (4 bytes, big-endian; 1: 8 bytes follow the type) and its type (4 bytes). XMP is a box of type
`uuid`; added at the end it moves nothing that others point to.
"""

import struct
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ssp_nerf.provenance.record import Provenance

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
SUFFIXES = (".mp4", ".m4v", ".mov")  # containers that are rows of boxes

_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


def xmp_packet(about: Provenance) -> str:
    """An XMP packet with IPTC's digital source type, words for people, and the program."""
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f"<x:xmpmeta {names}>\n"
        '<rdf:RDF><rdf:Description rdf:about="">\n'
        f"<Iptc4xmpExt:DigitalSourceType>{escape(about.source_type)}</Iptc4xmpExt:DigitalSourceType>\n"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(about.sentence)}</rdf:li>'
        "</rdf:Alt></dc:description>\n"
        f"<xmp:CreatorTool>{escape(about.software)}</xmp:CreatorTool>\n"
        "</rdf:Description></rdf:RDF>\n"
        '</x:xmpmeta>\n<?xpacket end="r"?>'
    )


def write_xmp(path: Path, about: Provenance) -> None:
    """Add XMP to an MP4 or QuickTime file; other containers have no place for it."""
    if path.suffix.lower() not in SUFFIXES:
        return
    content = XMP_UUID + xmp_packet(about).encode("utf-8")
    with open(path, "ab") as file:
        file.write(struct.pack(">I4s", 8 + len(content), b"uuid") + content)


def read_xmp(path: Path) -> dict[str, str]:
    """The simple properties of a file's XMP, by their local names; none where there is no XMP."""
    for content in _uuid_boxes(path):
        if content.startswith(XMP_UUID):
            try:
                root = ElementTree.fromstring(content[len(XMP_UUID) :].decode("utf-8"))
            except (ElementTree.ParseError, UnicodeDecodeError):
                return {}
            described = root.iter(f"{{{_NAMESPACES['rdf']}}}Description")
            return {
                item.tag.rpartition("}")[2]: item.text or ""
                for description in described
                for item in description
                if not len(item)
            }
    return {}


def _uuid_boxes(path: Path) -> list[bytes]:
    """What is in the boxes of type `uuid` on the highest level; none in a file of another kind."""
    found = []
    length = path.stat().st_size
    with open(path, "rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            begin = file.tell() - 8
            if size == 1:
                (size,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
            elif size == 0:  # to the end of the file
                size = length - begin
            if size < 8 or begin + size > length:
                break
            if kind == b"uuid":
                found.append(file.read(begin + size - file.tell()))
            file.seek(begin + size)
    return found
