"""Run lengths and polygons: what is drawn, and what is refused in one line that shows what came."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from robustness.errors import CaseError
from robustness.runners.data.load import load_dataset
from robustness.runners.data.masks.run_lengths import uncompressed
from robustness.runners.data.masks.shapes import rasterize

coco = pytest.importorskip("pycocotools.mask")

HEIGHT, WIDTH = 20, 30
BOX = np.zeros((HEIGHT, WIDTH), bool)
BOX[3:9, 5:20] = True
OTHER = np.zeros((HEIGHT, WIDTH), bool)
OTHER[12:18, 2:8] = True
# COCO fills a polygon up to its right and lower bounds.
POLYGON = [5.0, 3.0, 20.0, 3.0, 20.0, 9.0, 5.0, 9.0]


def compressed(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def runs(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    bounds = [0, *edges.tolist(), flat.size]
    counts = [b - a for a, b in itertools.pairwise(bounds)]
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


@pytest.mark.parametrize("form", [compressed, runs])
@pytest.mark.parametrize("mask", [BOX, OTHER, BOX * False, ~BOX, BOX | True])
def test_run_lengths_are_drawn_down_the_columns(form: Any, mask: np.ndarray) -> None:
    assert np.array_equal(rasterize(form(mask), (HEIGHT, WIDTH), "x"), mask)


def test_compressed_runs_are_counted_as_the_format_counts_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((int(rng.integers(1, 60)), int(rng.integers(1, 60)))) < rng.random()
        assert uncompressed(compressed(mask)["counts"], "x") == runs(mask)["counts"]


@pytest.mark.parametrize(
    "polygons",
    [
        POLYGON,
        [POLYGON],
        [[5, 3], [20, 3], [20, 9], [5, 9]],
        [[[5, 3], [20, 3], [20, 9], [5, 9]]],
        {"polygons": [POLYGON]},
    ],
)
def test_polygons_are_drawn_as_pycocotools_draws_them(polygons: Any) -> None:
    assert np.array_equal(rasterize(polygons, (HEIGHT, WIDTH), "x"), BOX)


def test_a_list_counts_together() -> None:
    assert np.array_equal(rasterize([compressed(BOX), runs(OTHER)], (HEIGHT, WIDTH), "x"), BOX | OTHER)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        # pycocotools reads this code beyond its end and returns what lies in memory.
        (
            {"size": [HEIGHT, WIDTH], "counts": compressed(BOX)["counts"][:3]},
            r"fill 20 x 30 = 600 .* got \d+ .* cut off",
        ),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "got 0 pixels in 0 runs"),
        ({"size": [HEIGHT, WIDTH], "counts": "no code!"}, "compressed run-length code, got 'no code!'"),
        ({"size": [HEIGHT, WIDTH], "counts": [3, 4]}, "got 7 pixels in 2 runs"),
        ({"size": [HEIGHT, WIDTH], "counts": [-5, 605]}, "runs of 0 pixels or more"),
        ({"size": [WIDTH, HEIGHT], "counts": runs(BOX)["counts"]}, "height and width are exchanged"),
        ({"size": [10, 60], "counts": runs(BOX)["counts"]}, r"\[height, width\] = \[20, 30\], got \[10, 60\]"),
        ({"size": "20x30", "counts": [600]}, r"size = \[height, width\]"),
        ([0.1, 0.2, 0.6, 0.2, 0.6, 0.5], "in pixels.*0.1 to 0.6; multiply"),
        ([3.0, 5.0, 3.0, 45.0, 9.0, 45.0, 9.0, 5.0], "y up to 45.*rows and columns exchanged"),
        ([3.0, 5.0, 3.0], "at least three points, got 3 numbers"),
        ([3.0, "a", 3.0, 4.0, 5.0, 6.0], "contours of numbers"),
        ([3.0, float("nan"), 3.0, 4.0, 5.0, 6.0], "NaN"),
        ({"points": [[1, 2]], "label": "polyp"}, "the keys points, label; mask_key"),
        (7, "got 7; mask_key"),
    ],
)
def test_what_is_no_mask_is_refused_with_what_came(item: Any, message: str) -> None:
    with pytest.raises(CaseError, match=message) as caught:
        rasterize(item, (HEIGHT, WIDTH), "masks.json a")
    assert "\n" not in str(caught.value)


class TestDatasets:
    def write(self, root: Path, entries: list[dict[str, Any]]) -> Path:
        for folder in ("images", "masks", "anns"):
            (root / folder).mkdir(parents=True)
        Image.fromarray(np.full((HEIGHT, WIDTH), 80, np.uint8)).save(root / "images" / "a.png")
        whole = [{"img_name": "a.png", "prompts": {"p6": "one polyp"}, "subject": "s", **entry} for entry in entries]
        (root / "anns" / "test.json").write_text(json.dumps(whole))
        return root

    def coco_file(self, path: Path, categories: list[str]) -> None:
        parts = {"polyp": [POLYGON], "tool": compressed(OTHER)}
        document = {
            "images": [{"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
            "categories": [{"id": n, "name": name} for n, name in enumerate(parts, start=1)],
            "annotations": [
                {"image_id": 7, "category_id": n, "segmentation": shape}
                for n, (name, shape) in enumerate(parts.items(), start=1)
                if name in categories
            ],
        }
        path.write_text(json.dumps(document))

    @pytest.mark.parametrize("mask", [compressed(BOX), runs(BOX), [POLYGON]])
    def test_a_mask_written_in_the_entry(self, tmp_path: Path, mask: Any) -> None:
        data = load_dataset(self.write(tmp_path / "d", [{"mask": mask, "case_id": "a_polyp"}]))
        assert data.infos[0].case_id == "a_polyp"
        assert np.array_equal(data[0].mask, BOX)

    def test_masks_written_in_entries_are_a_union_where_declared(self, tmp_path: Path) -> None:
        entries = [{"mask": runs(BOX), "case_id": "one"}, {"mask": compressed(OTHER), "case_id": "two"}]
        root = self.write(tmp_path / "d", entries)
        assert any("several masks for one text: 1" in note for note in load_dataset(root).notes)
        data = load_dataset(root, masks={"combine": "union"})
        assert len(data) == 1
        assert np.array_equal(data[0].mask, BOX | OTHER)
        assert any("union of several: 1" in note for note in data.notes)

    def test_keys_of_one_json_file_are_a_union_where_declared(self, tmp_path: Path) -> None:
        entries = [{"mask_name": "m.json", "mask_key": ["a", key]} for key in ("first", "second")]
        root = self.write(tmp_path / "d", entries)
        (root / "masks/m.json").write_text(json.dumps({"a": {"first": compressed(BOX), "second": runs(OTHER)}}))
        assert [info.case_id for info in load_dataset(root).infos] == ["m_a_first", "m_a_second"]
        data = load_dataset(root, masks={"combine": "union"})
        assert np.array_equal(data[0].mask, BOX | OTHER)

    def test_a_coco_file_by_file_name_and_category(self, tmp_path: Path) -> None:
        keys = [["a.png", "polyp"], ["a.png", "tool"]]
        root = self.write(tmp_path / "d", [{"mask_name": "coco.json", "mask_key": key} for key in keys])
        self.coco_file(root / "masks" / "coco.json", ["polyp", "tool"])
        assert [np.array_equal(case.mask, m) for case, m in zip(load_dataset(root), (BOX, OTHER), strict=True)] == [
            True
        ] * 2

    def test_a_coco_file_of_one_category_needs_no_name_and_of_several_one(self, tmp_path: Path) -> None:
        root = self.write(tmp_path / "d", [{"mask_name": "coco.json", "mask_key": "a.png"}])
        self.coco_file(root / "masks" / "coco.json", ["polyp"])
        assert np.array_equal(load_dataset(root)[0].mask, BOX)
        self.coco_file(root / "masks" / "coco.json", ["polyp", "tool"])
        with pytest.raises(CaseError, match=r"several categories \(polyp, tool\)"):
            load_dataset(root)[0]

    def test_a_table_writes_a_list_of_keys_as_json(self, tmp_path: Path) -> None:
        root = self.write(tmp_path / "d", [{"mask_name": "x.png"}])
        self.coco_file(root / "coco.json", ["polyp", "tool"])
        row = {"image": "images/a.png", "mask": "coco.json", "mask_key": '["a.png", "tool"]', "prompt": "a tool"}
        pd.DataFrame([row]).to_csv(root / "cases.csv", index=False)
        assert np.array_equal(load_dataset(root / "cases.csv")[0].mask, OTHER)

    @pytest.mark.parametrize(
        ("document", "key", "message"),
        [
            ({"a": compressed(BOX)}, ["b"], "expected the key 'b', found a"),
            (
                {"img_size": [30, 20], "a": [POLYGON]},
                ["a"],
                r"\[height, width\] = \[20, 30\], got img_size = \[30, 20\]",
            ),
            ({"images": [], "annotations": []}, ["a.png"], "expected an image 'a.png'"),
            ({"images": [{"file_name": "a.png"}], "annotations": []}, ["a.png"], "fields of a COCO file, got KeyError"),
        ],
    )
    def test_a_file_that_does_not_hold_it_is_one_line(
        self, tmp_path: Path, document: Any, key: list[str], message: str
    ) -> None:
        root = self.write(tmp_path / "d", [{"mask_name": "m.json", "mask_key": key}])
        (root / "masks/m.json").write_text(json.dumps(document))
        with pytest.raises(CaseError, match=message):
            load_dataset(root)[0]


@pytest.mark.parametrize(
    ("fields", "refused"),
    [({"bbox": [5, 3, 15, 6]}, True), ({"area": 90.0}, True), ({"bbox": [0, 0, 0, 0], "area": 0}, False), ({}, False)],
)
def test_a_box_without_an_outline_is_no_empty_mask(tmp_path: Path, fields: dict[str, Any], refused: bool) -> None:
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "i.png")
    annotation = {"id": 4, "image_id": 1, "category_id": 2, "segmentation": [], **fields}
    document = {
        "images": [{"id": 1, "file_name": "i.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 2, "name": "polyp"}],
        "annotations": [annotation],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))
    rows = [{"image": "i.png", "mask": "coco.json", "prompt": "x", "mask_key": json.dumps(["i.png", "polyp"])}]
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    data = load_dataset(tmp_path / "cases.csv")
    if not refused:
        assert not data[0].mask.any()
        return
    with pytest.raises(CaseError, match="expected the outline of annotation 4, got a box alone"):
        data[0]
