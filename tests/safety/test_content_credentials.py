"""Content Credentials: ours are trusted where pinned, everybody else's are not, changes show."""

from __future__ import annotations

import datetime
import io
import shutil
import socket
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from safety.certificates import Credentials, development_ca
from safety.content_credentials import AI_MADE, Statement, read_credentials, sign_image
from safety.keys import keys


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return development_ca(tmp_path_factory.mktemp("ca") / "ours")


def png(size: int = 64) -> bytes:
    """Noise: a thumbnail of it would be large."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def sign_png(data: bytes, credentials: Credentials, payload: int, version: str = "") -> bytes:
    return sign_image(data, "image/png", credentials, Statement(payload, version)).data


def with_pixels(signed: bytes, change) -> bytes:
    """The same PNG, chunks and all, with changed pixels and right CRCs: it still opens."""
    out, at, data = signed[:8], 8, b""
    while at < len(signed):
        (length,) = struct.unpack(">I", signed[at : at + 4])
        name, body = signed[at + 4 : at + 8], signed[at + 8 : at + 8 + length]
        at += 12 + length
        if name == b"IDAT":
            data += body
            continue
        if name == b"IEND":
            packed = b"IDAT" + zlib.compress(change(bytearray(zlib.decompress(data))))
            out += struct.pack(">I", len(packed) - 4) + packed
            out += struct.pack(">I", zlib.crc32(packed))
        out += struct.pack(">I", length) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def flip(rows: bytearray) -> bytes:
    rows[-1] ^= 1
    return bytes(rows)


def test_ours_are_trusted_and_say_who_what_and_which_mark(ours: Credentials) -> None:
    signed = sign_png(png(), ours, 0xCAFE, "0.1.0")
    found = read_credentials(signed, anchors=ours.anchors)
    assert (found.state, found.problems) == ("trusted", ())
    assert found.source == AI_MADE and found.payload == 0xCAFE
    assert found.signer == "Pellucid development signer"
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (png(), signed)]
    assert (pixels[0] == pixels[1]).all()


def test_without_anchors_nothing_is_trusted(ours: Credentials) -> None:
    assert read_credentials(sign_png(png(), ours, 1)).state == "untrusted"


def test_an_attacker_with_the_same_names_is_not_trusted(ours: Credentials, tmp_path: Path) -> None:
    attacker = development_ca(tmp_path / "attacker")
    names = [x509.load_pem_x509_certificates(one.chain)[0].subject for one in (ours, attacker)]
    assert names[0] == names[1]
    found = read_credentials(sign_png(png(), attacker, 1), anchors=ours.anchors)
    assert found.state == "untrusted" and "signingCredential.untrusted" in found.problems


def test_the_attackers_leaf_with_our_root_in_its_chain(ours: Credentials, tmp_path: Path) -> None:
    attacker = development_ca(tmp_path / "attacker")
    leaf = attacker.chain.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    mixed = Credentials(leaf + ours.anchors, attacker.key, attacker.anchors)
    try:
        signed = sign_png(png(), mixed, 1)
    except ValueError:
        return  # c2pa refuses the chain
    assert read_credentials(signed, anchors=ours.anchors).state != "trusted"


def test_one_changed_pixel_is_invalid(ours: Credentials) -> None:
    changed = with_pixels(sign_png(png(), ours, 1), flip)
    before, after = (
        np.asarray(Image.open(io.BytesIO(data))).astype(int)
        for data in (sign_png(png(), ours, 1), changed)
    )
    assert 1 <= np.abs(after - before).sum() <= 512  # it opens, and hardly differs
    found = read_credentials(changed, anchors=ours.anchors)
    assert found.state == "invalid" and "assertion.dataHash.mismatch" in found.problems


def test_every_flipped_byte_is_noticed(ours: Credentials) -> None:
    """Outside the manifest's chunk always; inside, the claims at least stay what was signed.

    The signature's padding is not covered by the signature.
    """
    signed = sign_png(png(), ours, 1)
    begin = signed.index(b"caBX") - 4
    end = begin + 12 + struct.unpack(">I", signed[begin : begin + 4])[0]
    whole = read_credentials(signed, anchors=ours.anchors)
    rng = np.random.default_rng(2)
    for at in rng.choice(np.arange(8, len(signed)), 300, replace=False):
        broken = bytearray(signed)
        broken[at] ^= 1
        found = read_credentials(bytes(broken), anchors=ours.anchors)
        assert found.state != "trusted" or (begin <= at < end and found == whole), at


def test_text_added_after_signing_is_invalid(ours: Credentials) -> None:
    signed = sign_png(png(), ours, 1)
    text = b"tEXtparameters\0another prompt"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    added = signed[:-12] + chunk + signed[-12:]
    with Image.open(io.BytesIO(added)) as image:
        image.load()
        assert image.info["parameters"] == "another prompt"
    assert read_credentials(added, anchors=ours.anchors).state == "invalid"


def test_no_thumbnail(ours: Credentials) -> None:
    unsigned, signed = png(128), sign_png(png(128), ours, 1)
    assert not read_credentials(signed, anchors=ours.anchors).thumbnail
    assert len(signed) - len(unsigned) < 6000 and b"thumbnail" not in signed


def test_no_network(ours: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest named by address only: nobody comes to fetch it."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.3)
        extra, file = PngInfo(), io.BytesIO()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/m.c2pa"
        extra.add_itxt(
            "XML:com.adobe.xmp",
            '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
            f'dcterms:provenance="{address}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>',
        )
        Image.open(io.BytesIO(png())).save(file, "PNG", pnginfo=extra)
        found = read_credentials(file.getvalue(), anchors=ours.anchors)
        assert found.state == "none" and "not fetched" in found.problems[0]
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_files_without_credentials(ours: Credentials, kind: str) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(png())).save(file, kind)
    found = read_credentials(file.getvalue(), Image.MIME[kind], ours.anchors)
    assert found.state == "none"


def test_the_certificates_hold_by_openssl(ours: Credentials, tmp_path: Path) -> None:
    """An independent oracle, where there is one."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    (tmp_path / "root.pem").write_bytes(ours.anchors)
    (tmp_path / "leaf.pem").write_bytes(ours.chain)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_secrets_are_the_owners_alone_and_made_once(tmp_path: Path) -> None:
    made = keys(tmp_path / "keys")
    for path in (tmp_path / "keys").rglob("*"):
        if path.suffix == ".key":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    again = keys(tmp_path / "keys")
    assert (again.watermark, again.ledger) == (made.watermark, made.ledger)
    assert again.anchors == made.anchors and len(made.ledger_public) == 64
    assert list(tmp_path.iterdir()) == [tmp_path / "keys"]
    assert str(made.watermark) not in repr(made) and "PRIVATE" not in repr(made)
    leaf = x509.load_pem_x509_certificates(made.credentials.chain)[0]
    assert leaf.not_valid_after_utc > datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize("name", ["watermark.key", "ledger.key", "credentials/leaf.key"])
def test_damaged_or_missing_keys_are_named_not_replaced(tmp_path: Path, name: str) -> None:
    keys(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(b"short")
    with pytest.raises(ValueError, match="keys"):
        keys(tmp_path / "keys")
    if "credentials" not in name:
        (tmp_path / "keys" / name).unlink()
        with pytest.raises(ValueError, match=name):
            keys(tmp_path / "keys")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        keys(tmp_path / "file")
