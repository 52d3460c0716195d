"""Files with several sequences, frames or pages: each is read as declared, or refused in one line with the cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from robustness.errors import CaseError, InputError
from robustness.runners.data.load import load_dataset
from robustness.runners.data.volumes.open import is_volume, open_volume
from tests.runners.data.volumes import phantom

for library in ("nibabel", "pydicom", "tifffile"):
    pytest.importorskip(library)

LABELS = {"1": "marker", "2": "block"}
HEAD = phantom.head_ras()
VALUES = ((HEAD == 1000) * 1 + (HEAD == 650) * 2).astype(np.uint8)
AXIAL = {"plane": "axial"}


def table(folder: Path, **row: Any) -> Path:
    pd.DataFrame([row]).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


def shown(path: Path, **options: Any) -> list[tuple[str, bytes, bytes]]:
    data = load_dataset(path, window=[0, 1000], **{"slices": AXIAL, **options})
    return sorted((case.target, case.image.tobytes(), case.mask.tobytes()) for case in data)


def nifti(folder: Path, image: np.ndarray, mask: np.ndarray) -> Path:
    phantom.write_nifti(folder / "image.nii.gz", image, phantom.affine_ras())
    phantom.write_nifti(folder / "mask.nii.gz", mask, phantom.affine_ras())
    return table(folder, image="image.nii.gz", mask="mask.nii.gz")


class TestFourAxes:
    """Brain tumours come as four sequences in one file, label maps with a fourth axis of length one."""

    def test_one_sequence_is_picked_and_others_make_no_difference(self, tmp_path: Path) -> None:
        plain = shown(nifti(tmp_path, HEAD, VALUES), labels=LABELS)
        four = nifti(tmp_path, np.stack([HEAD * 0, HEAD, HEAD + 7], axis=-1), VALUES)
        assert shown(four, labels=LABELS, slices={**AXIAL, "channel": 1}) == plain
        assert shown(four, labels=LABELS, slices={**AXIAL, "channel": 2}) != plain

    def test_without_a_channel_every_case_says_which_to_state(self, tmp_path: Path) -> None:
        path = nifti(tmp_path, np.stack([HEAD, HEAD], axis=-1), VALUES)
        with pytest.raises(CaseError, match=r"holds 2 sequences; state \[data\] slices.channel"):
            load_dataset(path, labels=LABELS, slices=AXIAL)[0]

    @pytest.mark.parametrize("axes", [4, 5])
    def test_a_label_map_with_further_axes_of_length_one_is_a_label_map(self, tmp_path: Path, axes: int) -> None:
        plain = shown(nifti(tmp_path, HEAD, VALUES), labels=LABELS)
        assert {target for target, *_ in plain} == {"marker", "block"}
        further = nifti(tmp_path, HEAD[..., None], VALUES.reshape(*VALUES.shape, *[1] * (axes - 3)))
        assert shown(further, labels=LABELS) == plain

    def test_one_channel_for_each_class(self, tmp_path: Path) -> None:
        plain = shown(nifti(tmp_path, HEAD, VALUES), labels=LABELS)
        one_hot = np.stack([VALUES == 1, VALUES == 2], axis=-1).astype(np.uint8)
        path = nifti(tmp_path, HEAD, one_hot)
        assert shown(path, masks={"channels": {"marker": 0, "block": 1}}) == plain
        assert shown(path, labels=LABELS) == plain

    @pytest.mark.parametrize(
        ("mask", "options", "message"),
        [
            (VALUES * 50, {"masks": {"channels": {"marker": 0}}}, "expected channel 0 .* one value for each voxel"),
            (VALUES * 0.4, {"labels": LABELS}, "whole numbers .* fractions such as 0.[48]; declare masks"),
            (VALUES * 50, {"masks": {"kind": "soft"}}, "0 to 1 .* values 0, 100; state masks.full_scale"),
            (np.stack([VALUES * 50, VALUES], -1), {"labels": LABELS}, "channels of 0 to 1, got the values 0, 100"),
        ],
    )
    def test_a_wrong_declaration_shows_the_values(
        self, tmp_path: Path, mask: np.ndarray, options: dict[str, Any], message: str
    ) -> None:
        path = nifti(tmp_path, HEAD, mask.astype(np.float32) if mask.dtype == float else mask)
        frame = pd.read_csv(path).assign(target="marker")
        frame.to_csv(path, index=False)
        with pytest.raises(CaseError, match=message) as caught:
            load_dataset(path, slices=AXIAL, **options)[0]
        assert "\n" not in str(caught.value)

    def test_labels_of_another_set_are_refused_with_the_values(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds the values 0, 50, 100; state"):
            load_dataset(nifti(tmp_path, HEAD, VALUES * 50), labels=LABELS, slices=AXIAL)

    def test_a_soft_mask_is_cut_at_its_threshold(self, tmp_path: Path) -> None:
        soft = (VALUES == 1) * 0.9 + (VALUES == 2) * 0.3
        path = nifti(tmp_path, HEAD, soft.astype(np.float32))
        pd.read_csv(path).assign(target="marker").to_csv(path, index=False)
        marker = [mask for target, _, mask in shown(nifti(tmp_path / "..", HEAD, VALUES), labels={"1": "marker"})]
        pd.read_csv(path).assign(target="marker").to_csv(path, index=False)
        assert [mask for *_, mask in shown(path, masks={"kind": "soft", "threshold": 0.5})] == marker


class TestMultiFrameDicom:
    def enhanced(self, folder: Path, order: list[int]) -> Path:
        """Write an enhanced MR object whose frames are stored in another order than they lie."""
        from pydicom.dataset import Dataset
        from pydicom.sequence import Sequence

        head, affine = phantom.stored(HEAD, phantom.affine_ras(), "LPS")
        count = head.shape[2]
        dataset = phantom.slice_dataset(np.zeros((24, 20), np.int16), affine, 0)
        frames = []
        for number in order:
            single = phantom.slice_dataset(head[:, :, number].T, affine, number)
            position, orientation, measures, frame = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = single.ImagePositionPatient
            orientation.ImageOrientationPatient = single.ImageOrientationPatient
            measures.PixelSpacing = single.PixelSpacing
            frame.PlanePositionSequence = Sequence([position])
            frame.PlaneOrientationSequence = Sequence([orientation])
            frame.PixelMeasuresSequence = Sequence([measures])
            frames.append(frame)
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            delattr(dataset, name)
        dataset.NumberOfFrames = count
        dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
        dataset.PixelData = np.stack([head[:, :, n].T for n in order]).astype("<i2").tobytes()
        path = folder / "enhanced.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    def test_frames_are_sorted_by_their_place(self, tmp_path: Path) -> None:
        plain = shown(nifti(tmp_path, HEAD, VALUES), labels=LABELS)
        count = HEAD.shape[2]
        self.enhanced(tmp_path, [(n * 7) % count for n in range(count)] if count % 7 else list(range(count))[::-1])
        path = table(tmp_path, image="enhanced.dcm", mask="mask.nii.gz")
        assert shown(path, labels=LABELS) == plain

    def test_a_film_has_stored_slices_with_masks_of_its_shape(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 900, (5, 12, 16)).astype(np.int16)
        dataset = phantom.slice_dataset(frames[0], phantom.affine_ras(), 0, Modality="US")
        del dataset.ImageOrientationPatient, dataset.ImagePositionPatient
        dataset.NumberOfFrames, dataset.PixelData = 5, frames.astype("<i2").tobytes()
        dataset.save_as(tmp_path / "film.dcm", enforce_file_format=True)
        labels = np.zeros((16, 12, 5), np.uint8)
        labels[3:9, 2:8, 1:3] = 1
        phantom.write_nifti(tmp_path / "mask.nii", labels, np.eye(4))
        data = load_dataset(table(tmp_path, image="film.dcm", mask="mask.nii"), labels={"1": "cyst"}, window=[0, 1000])
        assert [case.metadata["slice"] for case in data] == [1, 2]
        for case in data:
            index = case.metadata["slice"]
            assert np.array_equal(case.image[..., 0], np.rint(frames[index] / 1000 * 255).astype(np.uint8))
            assert np.array_equal(case.mask, labels[..., index].T == 1)
        assert data[0].metadata["modality"] == "ultrasound"

    def test_a_film_with_one_mask_is_one_line(self, tmp_path: Path) -> None:
        self.enhanced(tmp_path, list(range(HEAD.shape[2])))
        Image.fromarray(np.zeros((24, 20), np.uint8)).save(tmp_path / "m.png")
        path = table(tmp_path, image="enhanced.dcm", mask="m.png", prompt="x")
        with pytest.raises(CaseError, match=r"volume of 16 slices .* got one image; name a NIfTI"):
            load_dataset(path)[0]


class TestTiffStacks:
    """A stack of pages was read as its first page, image and mask alike, and nothing was said."""

    def stack(self, folder: Path, shape: tuple[int, int, int] = (4, 18, 22)) -> tuple[np.ndarray, np.ndarray]:
        import tifffile

        pages = np.random.default_rng(0).integers(0, 3000, shape).astype(np.uint16)
        labels = np.zeros(shape, np.uint8)
        labels[1:3, 4:9, 6:14] = 1
        labels[2, 10:15, 2:6] = 2
        tifffile.imwrite(folder / "image.tif", pages, photometric="minisblack")
        tifffile.imwrite(folder / "mask.tif", labels, photometric="minisblack")
        return pages, labels

    def test_pages_are_slices(self, tmp_path: Path) -> None:
        pages, labels = self.stack(tmp_path)
        path = table(tmp_path, image="image.tif", mask="mask.tif", subject_id="p1")
        data = load_dataset(path, labels={"1": "cell", "2": "nucleus"}, window=[0, 3000])
        assert [(case.target, case.metadata["slice"]) for case in data] == [("cell", 1), ("cell", 2), ("nucleus", 2)]
        for case in data:
            page = case.metadata["slice"]
            assert np.array_equal(case.image[..., 0], np.rint(pages[page] / np.float32(3000) * 255).astype(np.uint8))
            assert np.array_equal(case.mask, labels[page] == (1 if case.target == "cell" else 2))

    def test_labels_are_asked_for(self, tmp_path: Path) -> None:
        self.stack(tmp_path)
        with pytest.raises(InputError, match=r"values have no names; state \[data\] labels"):
            load_dataset(table(tmp_path, image="image.tif", mask="mask.tif"))

    def test_a_mask_stack_of_another_length_is_one_line(self, tmp_path: Path) -> None:
        import tifffile

        self.stack(tmp_path)
        tifffile.imwrite(tmp_path / "mask.tif", np.ones((3, 18, 22), np.uint8), photometric="minisblack")
        with pytest.raises(CaseError, match=r"shape of its image \(22, 18, 4\), got \(22, 18, 3\)"):
            load_dataset(table(tmp_path, image="image.tif", mask="mask.tif"), labels=LABELS)[0]

    @pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
    def test_channels_of_a_microscope_are_no_slices(self, tmp_path: Path, axes: str) -> None:
        import tifffile

        _, labels = self.stack(tmp_path)
        pages = np.random.default_rng(1).integers(0, 3000, (4, 2, 18, 22)).astype(np.uint16)
        stored = pages if axes == "ZCYX" else pages.swapaxes(0, 1)
        tifffile.imwrite(tmp_path / "image.ome.tif", stored, metadata={"axes": axes}, photometric="minisblack")
        path = table(tmp_path, image="image.ome.tif", mask="mask.tif", subject_id="p1")
        data = load_dataset(path, labels={"2": "nucleus"}, window=[0, 3000], slices={"channel": 1})
        (case,) = data
        assert np.array_equal(case.image[..., 0], np.rint(pages[2, 1] / np.float32(3000) * 255).astype(np.uint8))
        assert np.array_equal(case.mask, labels[2] == 2)
        with pytest.raises(CaseError, match="holds 2 sequences"):
            load_dataset(path, labels={"2": "nucleus"}, window=[0, 3000])[0]

    def test_white_may_be_zero_and_colours_may_lie_apart(self, tmp_path: Path) -> None:
        import tifffile

        pages, _ = self.stack(tmp_path)
        path = table(tmp_path, image="image.tif", mask="mask.tif", subject_id="p1")
        tifffile.imwrite(tmp_path / "image.tif", 3000 - pages, photometric="miniswhite")
        case = load_dataset(path, labels={"2": "nucleus"}, window=[0, 3000])[0]
        assert np.abs(case.image[..., 0] - np.rint(pages[2] / 3000 * 255)).max() <= 1
        rgb = np.random.default_rng(2).integers(0, 255, (4, 3, 18, 22)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "image.tif", rgb, photometric="rgb", planarconfig="separate")
        case = load_dataset(path, labels={"2": "nucleus"})[0]
        assert np.array_equal(case.image, np.moveaxis(rgb[2], 0, -1))

    @pytest.mark.parametrize("orientation", [1, 3, 6])
    @pytest.mark.parametrize("role", ["image", "mask"])
    def test_pages_that_are_to_be_turned_are_refused(self, tmp_path: Path, role: str, orientation: int) -> None:
        """They were read as stored, beside a mask or an image that was not turned."""
        import tifffile

        pages, labels = self.stack(tmp_path)
        stored = np.rot90(pages if role == "image" else labels, {1: 0, 3: 2, 6: 1}[orientation], (1, 2))
        tags = [(274, "H", 1, orientation, True)]
        options = {"photometric": "minisblack", "extratags": tags}
        tifffile.imwrite(tmp_path / f"{role}.tif", np.ascontiguousarray(stored), **options)
        data = load_dataset(
            table(tmp_path, image="image.tif", mask="mask.tif"), labels={"2": "nucleus"}, window=[0, 3000]
        )
        if orientation == 1:
            assert np.array_equal(data[0].mask, labels[2] == 2)
            return
        with pytest.raises(CaseError, match=rf"pages that lie as they are stored .* got Orientation {orientation}"):
            data[0]

    def test_colours_of_sixteen_bits_that_use_twelve_are_refused(self, tmp_path: Path) -> None:
        import tifffile

        self.stack(tmp_path)
        rgb = np.random.default_rng(2).integers(0, 255, (4, 18, 22, 3)).astype(np.uint16)
        path = table(tmp_path, image="image.tif", mask="mask.tif", subject_id="p1")
        tifffile.imwrite(tmp_path / "image.tif", rgb * 257, photometric="rgb")
        assert np.array_equal(load_dataset(path, labels={"2": "nucleus"})[0].image, rgb[2])
        tifffile.imwrite(tmp_path / "image.tif", rgb * 16, photometric="rgb")
        with pytest.raises(CaseError, match="values below 4096, which would be shown nearly black"):
            load_dataset(path, labels={"2": "nucleus"})[0]

    @pytest.mark.parametrize("labels", [{"2": "nucleus"}, None])
    def test_a_mask_whose_white_is_zero_is_refused(self, tmp_path: Path, labels: dict[str, str] | None) -> None:
        """Stacks were read by their values, single pages by their looks: one mask and its complement."""
        import tifffile

        _, values = self.stack(tmp_path)
        tifffile.imwrite(tmp_path / "mask.tif", (values == 2).astype(np.uint8) * 2, photometric="miniswhite")
        path = table(tmp_path, image="image.tif", mask="mask.tif", target="nucleus")
        options = {"labels": labels} if labels else {}
        with pytest.raises(CaseError, match=r"expected values of which 0 is black, got .*; save it with black as 0"):
            load_dataset(path, window=[0, 3000], **options)[0]

    def test_one_page_and_a_page_with_a_preview_are_images(self, tmp_path: Path) -> None:
        import tifffile

        with tifffile.TiffWriter(tmp_path / "preview.tif") as file:
            file.write(np.full((18, 22), 90, np.uint8))
            file.write(np.full((9, 11), 90, np.uint8))
        assert not is_volume(tmp_path / "preview.tif")
        tifffile.imwrite(tmp_path / "image.tif", np.zeros((18, 22), np.uint16), photometric="minisblack")
        assert not is_volume(tmp_path / "image.tif")
        assert not is_volume(tmp_path / "missing.tif")
        assert open_volume(tmp_path / "image.tif").header.shape == (22, 18, 1)


def test_a_single_dicom_image_with_a_png_mask_gets_spacing_patient_and_a_prompt(tmp_path: Path) -> None:
    pixels = np.arange(20 * 24, dtype=np.int16).reshape(20, 24)
    dataset = phantom.slice_dataset(
        pixels, phantom.affine_ras(), 0, Modality="CR", PixelSpacing=[0.4, 0.3], InstitutionName="Site A"
    )
    dataset.save_as(tmp_path / "chest.dcm", enforce_file_format=True)
    mask = np.zeros((20, 24), np.uint8)
    mask[2:6, 2:8] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    data = load_dataset(
        table(tmp_path, image="chest.dcm", mask="m.png", target="lung"), window=[0, 479], groups=["site"]
    )
    case = data[0]
    assert (case.subject_id, case.spacing_mm, case.metadata["modality"]) == ("P001", (0.4, 0.3), "x-ray")
    assert case.metadata["groups"] == {"site": "Site A"}
    assert "lung" in case.prompt.text.lower()
    with pytest.raises(CaseError, match="a text under 'p6', or a target"):
        load_dataset(table(tmp_path, image="chest.dcm", mask="m.png"), window=[0, 479])[0]


@pytest.mark.parametrize(
    ("fields", "spacing", "at_detector"),
    [
        ({"PixelSpacing": [0.14, 0.28], "ImagerPixelSpacing": [0.2, 0.4]}, (0.14, 0.28), False),
        ({"PixelSpacing": [0.14, 0.28]}, (0.14, 0.28), False),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.4]}, (0.2, 0.4), True),
        ({"PixelSpacing": [0.2, 0.4], "ImagerPixelSpacing": [0.2, 0.4]}, (0.2, 0.4), True),
        (
            {"PixelSpacing": [0.2, 0.4], "ImagerPixelSpacing": [0.2, 0.4], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.2, 0.4),
            False,
        ),
    ],
)
@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA"])
def test_the_pixel_size_of_a_radiograph_is_that_in_the_patient_where_it_is_calibrated(
    tmp_path: Path, modality: str, fields: dict[str, Any], spacing: tuple[float, float], at_detector: bool
) -> None:
    """See findings/simpleitk_leaves_out_the_calibrated_spacing.sh; equal sizes say that nothing was calibrated."""
    pixels = np.zeros((20, 24), np.int16)
    dataset = phantom.slice_dataset(pixels, phantom.affine_ras(), 0, Modality=modality, **fields)
    dataset.save_as(tmp_path / "chest.dcm", enforce_file_format=True)
    header = open_volume(tmp_path / "chest.dcm").header
    assert header.spacing_mm is not None
    assert header.spacing_mm[:2] == pytest.approx(spacing[::-1])
    assert any("the detector's pixel size only" in warning for warning in header.warnings) == at_detector


def test_the_scale_of_an_ultrasound_region_is_read_in_mm(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset as Item

    region = Item()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.014, 0.028
    dataset = phantom.slice_dataset(
        np.zeros((20, 24), np.int16), phantom.affine_ras(), 0, Modality="US", SequenceOfUltrasoundRegions=[region]
    )
    del dataset.PixelSpacing
    dataset.save_as(tmp_path / "liver.dcm", enforce_file_format=True)
    header = open_volume(tmp_path / "liver.dcm").header
    assert header.spacing_mm is not None
    assert header.spacing_mm[:2] == pytest.approx((0.14, 0.28))


def test_a_series_without_even_steps_is_noted(tmp_path: Path) -> None:
    head, affine = phantom.stored(HEAD, phantom.affine_ras(), "LPS")
    folder = phantom.write_series(tmp_path / "series", head, affine)
    sorted(folder.iterdir())[1].unlink()
    labels = np.zeros((20, 24, 15), np.uint8)
    labels[..., 5] = 1
    phantom.write_nifti(tmp_path / "m.nii", labels, open_volume(folder).header.affine)
    path = table(tmp_path, image="series", mask="m.nii")
    notes = load_dataset(path, labels={"1": "a"}).notes
    assert any("not evenly spaced" in note for note in notes)
