"""What ``--weights`` may say."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.weights_server import Served, Server, entry, install_table, weights_like

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.weights import ResolvedWeights, Wanted, resolve_weights, weights_folder

BODY = weights_like(1000)
DIGEST = sha256(BODY).hexdigest()


@pytest.fixture
def table(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A method called toy has weights for crowdpose, for coco in two sizes, and a trunk."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    trunk = entry("toy/trunk", server.url("/trunk"))
    install_table(
        site,
        entry("toy/crowdpose", server.url("/crowdpose"))
        + entry("toy/coco", server.url("/coco"), "input_size = [256, 192]", dataset="coco")
        + entry("toy/coco-384x288", server.url("/big"), "input_size = [384, 288]", dataset="coco")
        + trunk.replace('"trained"', '"trunk"').replace('dataset = "crowdpose"\n', ""),
    )
    for name in ("crowdpose", "coco", "big", "trunk"):
        server.files[f"/{name}"] = Served(BODY if name == "crowdpose" else weights_like(1000, len(name)))
    return server


def resolve(
    asked: str | Path, dataset: str = "crowdpose", size: tuple[int, int] | None = None
) -> ResolvedWeights:
    return resolve_weights(asked, method="toy", dataset=dataset, input_size=size)


def test_published_is_fetched_and_says_what_it_is(table: Server) -> None:
    found = resolve("published")
    path = weights_folder() / "toy" / "crowdpose" / "weights.pth"
    assert found == ResolvedWeights("toy/crowdpose", path, DIGEST, "crowdpose trainval")
    assert path.read_bytes() == BODY


def test_published_has_the_networks_input_size(table: Server) -> None:
    assert resolve("published", "coco", (256, 192)).source == "toy/coco"
    assert resolve("published", "coco", (384, 288)).source == "toy/coco-384x288"
    # An entry without a size fits them all.
    assert resolve("published", "crowdpose", (512, 512)).source == "toy/crowdpose"


@pytest.mark.parametrize(
    ("dataset", "size", "signs"),
    [
        ("coco", (192, 256), ["no weights", "192x256", "toy/coco (256x192), toy/coco-384x288 (384x288)"]),
        ("coco", None, ["2 weights", "toy/coco (256x192)"]),
        ("ochuman", (256, 192), ["no weights are published for toy on ochuman", "toy/crowdpose", "toy/coco"]),
    ],
)
def test_nothing_published_names_what_is_and_the_ways_out(
    table: Server, dataset: str, size: tuple[int, int] | None, signs: list[str]
) -> None:
    with pytest.raises(WeightsError) as caught:
        resolve("published", dataset, size)
    for sign in (*signs, "--weights FILE", "--weights none", "--weights NAME"):
        assert sign in str(caught.value)
    assert "trunk" not in str(caught.value)
    assert not table.asked


def test_a_method_without_any_published_weights_is_told_so(table: Server) -> None:
    with pytest.raises(WeightsError, match=r"(?s)no weights are published for own on coco.*: nothing\."):
        resolve_weights("published", method="own", dataset="coco")


def test_an_entry_can_be_asked_for_by_name_on_any_dataset(table: Server) -> None:
    assert resolve("toy/crowdpose", "ochuman").training_data == "crowdpose trainval"


def test_a_trunk_is_not_evaluated(table: Server) -> None:
    with pytest.raises(WeightsError, match="trunk"):
        resolve("toy/trunk")
    assert not table.asked


def test_none_is_none(table: Server) -> None:
    assert resolve("none") == ResolvedWeights("none", None, None, "none")


def test_a_file_is_taken_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("own.pth", "none", "published"):
        Path(name).write_bytes(BODY)
    for asked in ("own.pth", "./none", tmp_path / "own.pth", Path("none"), Path("published")):
        found = resolve(asked)
        assert (found.source, found.sha256, found.training_data) == (str(Path(asked)), DIGEST, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "own.pth", "published"]


@pytest.mark.parametrize("asked", ["no.pth", "./no", "/no/such/file", Path("no.pth")])
def test_a_missing_file_is_named(asked: str | Path) -> None:
    with pytest.raises(MissingDataError, match="no"):
        resolve(asked)


def test_a_mistyped_name_gets_a_suggestion(table: Server) -> None:
    with pytest.raises(MissingDataError, match="Did you mean 'toy/crowdpose'"):
        resolve("toy/crowdpos")


def test_a_url_is_fetched_once_and_kept_apart_from_others_of_its_name(server: Server) -> None:
    other = weights_like(1000, 9)
    server.files |= {"/a/f.pth": Served(BODY), "/b/f.pth": Served(other), "/b/f.pth?v=2": Served(BODY)}
    found = {path: resolve(server.url(path)) for path in ("/a/f.pth", "/b/f.pth", "/b/f.pth?v=2", "/a/f.pth")}
    assert found["/a/f.pth"].source == server.url("/a/f.pth")
    assert [one.sha256 for one in found.values()] == [DIGEST, sha256(other).hexdigest(), DIGEST]
    assert len({one.path for one in found.values()}) == 3
    assert len(server.asked) == 3


def test_the_name_that_a_server_gives_is_not_used(server: Server) -> None:
    header = {"Content-Disposition": 'attachment; filename="../../../evil.pth"'}
    server.files["/f.pth"] = Served(BODY, headers=header)
    found = resolve(server.url("/f.pth")).path
    assert found is not None
    assert found.name == "f.pth"


@given(st.text(max_size=30))
def test_no_url_leads_out_of_the_cache(path: str) -> None:
    try:
        want = Wanted.of_url(f"https://example.org/{path}")
    except WeightsError:
        return
    folder = weights_folder() / "from-url"
    assert want.path.resolve().parent.parent == folder.resolve()
    assert not want.path.name.startswith(".")
    assert want.path.name.isascii()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/f", "https://", "http://[::1/f", "https://h:port/f"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(WeightsError):
        resolve(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(WeightsError, match="netrc") as caught:
        resolve("https://me:secret@example.org/f.pth")
    assert "secret" not in str(caught.value)
