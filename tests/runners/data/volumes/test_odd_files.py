"""NIfTI, NRRD and MetaImage files that tools write in odd ways: read as they mean it, or refused in one line."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage

from robustness.errors import AnswerError, CaseError, InputError
from robustness.image_files import open_image
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.load import load_dataset
from robustness.runners.data.volumes import sitk_image
from robustness.runners.data.volumes.open import open_volume
from robustness.runners.models.black_box.answers import decode_image
from tests.runners.data.volumes import phantom
from tests.runners.data.volumes.phantom import AFFINE, HEAD, LABELS, VALUES, load, mask, series, shown
from tests.runners.data.volumes.phantom import plain as plain_cases

for library in ("nibabel", "pydicom", "SimpleITK", "highdicom"):
    pytest.importorskip(library)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes, bytes]]:
    return plain_cases(tmp_path_factory.mktemp("plain"))


class TestNifti:
    @pytest.mark.parametrize(("unit", "factor"), [("micron", 1000.0), ("meter", 0.001)])
    def test_units_of_the_header_count(self, tmp_path: Path, unit: str, factor: float, plain: list[Any]) -> None:
        import nibabel

        affine = np.diag([factor, factor, factor, 1.0]) @ AFFINE
        image = nibabel.Nifti1Image(HEAD, affine)
        image.header.set_xyzt_units(unit)
        nibabel.save(image, tmp_path / "i.nii.gz")
        data = load(tmp_path, [{"image": "i.nii.gz", "mask": mask(tmp_path)}])
        assert data[0].spacing_mm == pytest.approx((2.0, 1.5))
        assert shown(data) == plain

    def test_labels_behind_a_slope_are_whole_numbers(self, tmp_path: Path, plain: list[Any]) -> None:
        phantom.write_nifti(tmp_path / "i.nii.gz", HEAD, AFFINE)
        phantom.write_nifti(tmp_path / "m.nii", VALUES * np.uint8(10), AFFINE)
        stored = bytearray((tmp_path / "m.nii").read_bytes())
        stored[112:120] = struct.pack("<ff", 0.1, 0.0)
        (tmp_path / "m.nii").write_bytes(bytes(stored))
        assert shown(load(tmp_path, [{"image": "i.nii.gz", "mask": "m.nii"}])) == plain

    @pytest.mark.parametrize("largest", [4, 25, 100])
    @pytest.mark.parametrize("stored", [np.uint8, np.int16])
    def test_labels_saved_as_floats_with_the_header_of_an_image(
        self, tmp_path: Path, plain: list[Any], largest: int, stored: type[np.integer[Any]]
    ) -> None:
        import nibabel

        phantom.write_nifti(tmp_path / "i.nii.gz", HEAD, AFFINE)
        labels = VALUES.astype(float)
        labels[0, 0, 0] = largest
        scan = nibabel.Nifti1Image(np.zeros(HEAD.shape, stored), AFFINE)
        nibabel.save(nibabel.Nifti1Image(labels, scan.affine, scan.header), tmp_path / "m.nii.gz")
        # What is stored are shares of the largest label: no value needs to be a whole number any more.
        read = nibabel.load(tmp_path / "m.nii.gz").get_fdata()
        assert (read[VALUES == 1] != 1).all() or stored == np.int16
        assert shown(load(tmp_path, [{"image": "i.nii.gz", "mask": "m.nii.gz"}])) == plain

    def test_a_scale_too_coarse_for_labels_is_told(self, tmp_path: Path) -> None:
        import nibabel

        phantom.write_nifti(tmp_path / "i.nii.gz", HEAD, AFFINE)
        labels = VALUES * 3.0
        labels[0, 0, 0] = 1000
        scan = nibabel.Nifti1Image(np.zeros(HEAD.shape, np.uint8), AFFINE)
        nibabel.save(nibabel.Nifti1Image(labels, scan.affine, scan.header), tmp_path / "m.nii.gz")
        with pytest.raises((CaseError, InputError), match=r"save the labels as integers$"):
            shown(load(tmp_path, [{"image": "i.nii.gz", "mask": "m.nii.gz"}]))

    def test_labels_resampled_by_lines_are_refused(self, tmp_path: Path) -> None:
        phantom.write_nifti(tmp_path / "i.nii.gz", HEAD, AFFINE)
        between = (VALUES + np.roll(VALUES, 1, 0)) * np.float32(1.5)
        phantom.write_nifti(tmp_path / "m.nii.gz", between.astype(np.float32), AFFINE)
        with pytest.raises((CaseError, InputError), match=r"fractions such as 1\.5.*nearest neighbour"):
            shown(load(tmp_path, [{"image": "i.nii.gz", "mask": "m.nii.gz"}]))

    def test_each_sequence_of_a_4d_file_has_its_own_window(self, tmp_path: Path, plain: list[Any]) -> None:
        phantom.write_nifti(tmp_path / "i.nii", np.stack([HEAD.astype(np.int32) * 100, HEAD], -1), AFFINE)
        rows = [{"image": "i.nii", "mask": mask(tmp_path)}]
        window = {"quantiles": [0.0, 1.0], "of": "volume"}
        assert shown(load(tmp_path, rows, window=window, slices={"plane": "axial", "channel": 1})) == plain

    def test_a_volume_with_one_coronal_slice_is_shown_in_that_plane(self, tmp_path: Path) -> None:
        affine = AFFINE.copy()
        affine[:3, 3] = (AFFINE @ [0, 17, 0, 1])[:3]
        phantom.write_nifti(tmp_path / "i.nii", HEAD[:, 17:18], affine)
        phantom.write_nifti(tmp_path / "m.nii", VALUES[:, 17:18], affine)
        (case,) = load(tmp_path, [{"image": "i.nii", "mask": "m.nii"}], slices=None)
        assert np.array_equal(case.image[..., 0], np.rint(HEAD[::-1, 17, ::-1].T / 1000 * 255).astype(np.uint8))

    def test_two_transforms_that_differ_are_remarked(self, tmp_path: Path, plain: list[Any]) -> None:
        import nibabel

        image = nibabel.Nifti1Image(HEAD, AFFINE)
        image.set_qform(np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE, code=1)
        image.set_sform(AFFINE, code=2)
        nibabel.save(image, tmp_path / "i.nii")
        data = load(tmp_path, [{"image": "i.nii", "mask": mask(tmp_path)}])
        assert shown(data) == plain
        assert any("sform is used" in note for note in data.notes)

    @pytest.mark.parametrize(("degrees", "remarked"), [(20, False), (44, True)])
    def test_a_volume_far_from_the_patients_axes_is_remarked(
        self, tmp_path: Path, degrees: int, remarked: bool
    ) -> None:
        affine = phantom.rotated(AFFINE, degrees)
        for name, voxels in (("i.nii", HEAD), ("m.nii", VALUES)):
            phantom.write_nifti(tmp_path / name, voxels, affine)
        notes = load(tmp_path, [{"image": "i.nii", "mask": "m.nii"}]).notes
        assert any("44 degrees from the patient's axes" in note for note in notes) == remarked


class TestFilesThatHeadersName:
    """A header may name any file of the machine, whose bytes became an image; a pipe there waited for ever."""

    NRRD = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nsizes: 4 5 6\nspace: left-posterior-superior\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\ndata file: {}\n\n"
    )
    META = (
        "ObjectType = Image\nNDims = 3\nDimSize = 4 5 6\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementDataFile = {}\n"
    )

    def write(self, folder: Path, form: str, *named: str) -> Any:
        (folder / "set").mkdir(exist_ok=True)
        (folder / "secret.raw").write_bytes(bytes(120))
        for number in range(1, 7):
            (folder / f"set/part{number}.raw").write_bytes(bytes([number] * 20))
        (folder / "set/voxels.raw").write_bytes(bytes(range(120)))
        suffix = ".nhdr" if form == "NRRD" else ".mhd"
        (folder / f"set/x{suffix}").write_text(
            getattr(self, form).format("\n".join(named)).strip() + "\n" * (1 + (len(named) == 1))
        )
        import nibabel

        nibabel.save(
            nibabel.Nifti1Image(np.ones((4, 5, 6), np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0])), folder / "m.nii"
        )
        return load(folder, [{"image": f"set/x{suffix}", "mask": "m.nii"}], labels={"1": "block"})

    @pytest.mark.parametrize("form", ["NRRD", "META"])
    @pytest.mark.parametrize("named", ["{folder}/secret.raw", "../secret.raw", "sub/../../secret.raw"])
    def test_a_file_elsewhere_is_refused(self, tmp_path: Path, form: str, named: str) -> None:
        data = self.write(tmp_path, form, named.format(folder=tmp_path))
        with pytest.raises(CaseError, match=r"expected its voxels in a file beside it, got .*secret\.raw"):
            data[0]

    @pytest.mark.parametrize("form", ["NRRD", "META"])
    def test_a_pipe_is_refused_at_once(self, tmp_path: Path, form: str) -> None:
        (tmp_path / "set").mkdir()
        os.mkfifo(tmp_path / "set/pipe.raw")
        with pytest.raises(CaseError, match=r"pipe\.raw: expected a regular file, got a pipe"):
            self.write(tmp_path, form, "pipe.raw")[0]

    @pytest.mark.parametrize(
        ("form", "named"),
        [
            ("NRRD", ["voxels.raw"]),
            ("META", ["voxels.raw"]),
            ("NRRD", ["LIST", *(f"part{number}.raw" for number in range(1, 7))]),
            ("META", ["LIST", *(f"part{number}.raw" for number in range(1, 7))]),
            ("NRRD", ["part%d.raw 1 6 1"]),
            ("META", ["part%d.raw 1 6 1"]),
        ],
    )
    def test_files_beside_it_are_read(self, tmp_path: Path, form: str, named: list[str]) -> None:
        data = self.write(tmp_path, form, *named)
        assert len(data) == 6
        first = [int(case.metadata["image_float"].max() * 1000 + 0.5) for case in data]
        assert first == ([19, 39, 59, 79, 99, 119] if named == ["voxels.raw"] else [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd", "x.mha", "x.dcm", "x.tif", "x", "x.png"])
def test_a_pipe_in_the_place_of_an_image_never_waits(tmp_path: Path, name: str) -> None:
    """The reader of headers for the check, which every audit begins with, opened it and waited for ever."""
    os.mkfifo(tmp_path / name)
    PILImage.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "m.png")
    rows = [{"image": name, "mask": "m.png", "prompt": "a polyp", "subject": "1"}]
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    for found in (check_dataset(tmp_path / "cases.csv"), check_dataset(tmp_path / "cases.csv", pixels=False)):
        assert "date_in_name" not in set(found.code)
    data = load_dataset(tmp_path / "cases.csv")
    assert data.fingerprint()[name] == "missing"
    with pytest.raises(CaseError, match="expected a regular file, got a pipe"):
        data[0]


@pytest.mark.parametrize("role", ["image", "mask"])
def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path, role: str) -> None:
    PILImage.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    row = {"image": "a.png", "mask": "a.png", "prompt": "a polyp", "subject": "1"} | {role: "x" * 300 + ".png"}
    pd.DataFrame([row]).to_csv(tmp_path / "cases.csv", index=False)
    assert f"missing_{role}" in set(check_dataset(tmp_path / "cases.csv").code)
    assert "missing" in load_dataset(tmp_path / "cases.csv").fingerprint().values()


class TestAbsurdSizes:
    """A header of a few bytes asked for terabytes, for minutes, or ended in a MemoryError of another library."""

    def nifti(self, folder: Path, name: str, shape: tuple[int, ...], dtype: str = "int16") -> dict[str, str]:
        import nibabel

        header = nibabel.Nifti1Header()
        header.set_data_dtype(dtype)
        header.set_data_shape(shape)
        header.set_sform(AFFINE, 1)
        header["vox_offset"], header["magic"] = 352, b"n+1"
        content = header.structarr.tobytes() + bytes(4 + 960)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return {"image": name, "mask": mask(folder)}

    @pytest.mark.parametrize("name", ["i.nii", "i.nii.gz"])
    @pytest.mark.parametrize("shape", [(32767, 32767, 32767), (32767, 32767, 300), (64, 64, 10, 32767)])
    def test_of_a_nifti_file_are_refused_at_once(self, tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
        slices = {"plane": "axial", "channel": 0}
        with pytest.raises(CaseError, match="bytes of voxels that its header states, got one of at most"):
            load(tmp_path, [self.nifti(tmp_path, name, shape)], slices=slices)[0]

    @pytest.mark.parametrize("name", ["i.mha", "i.nrrd"])
    def test_of_other_headers_too(self, tmp_path: Path, name: str) -> None:
        form = TestFilesThatHeadersName.NRRD if name == "i.nrrd" else TestFilesThatHeadersName.META
        text = form.replace("4 5 6", "40000 50000 600").replace("data file: {}\n", "").format("LOCAL")
        (tmp_path / name).write_bytes(text.encode() + bytes(100))
        with pytest.raises(CaseError, match="1200000000000 bytes of voxels that its header states"):
            load(tmp_path, [{"image": name, "mask": mask(tmp_path)}])[0]

    def test_an_empty_mask_in_few_bytes_is_read(self, tmp_path: Path) -> None:
        import nibabel

        nibabel.save(nibabel.Nifti1Image(np.zeros((300, 300, 90), np.uint8), AFFINE), tmp_path / "m.nii.gz")
        phantom.write_nifti(tmp_path / "i.nii.gz", np.zeros((300, 300, 90), np.int16), AFFINE)
        rows = [{"image": "i.nii.gz", "mask": "m.nii.gz"}]
        assert len(load(tmp_path, rows, slices={"plane": "axial", "where": "all", "every": 30})) == 3 * len(LABELS)

    def test_complex_voxels_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match="expected real voxels, got complex64"):
            load(tmp_path, [self.nifti(tmp_path, "i.nii", (4, 5, 6), "complex64")])[0]

    @pytest.mark.parametrize("masks", [{}, {"masks": {"kind": "soft", "threshold": 0.5}, "labels": None}])
    def test_nan_in_a_mask_is_refused(self, tmp_path: Path, masks: dict[str, Any]) -> None:
        """NaN beside 0 was the one other value, and so the foreground; of a label map it was a traceback."""
        phantom.write_nifti(tmp_path / "i.nii", HEAD, AFFINE)
        phantom.write_nifti(tmp_path / "m.nii", np.where(VALUES > 0, VALUES, np.nan).astype(np.float32), AFFINE)
        with pytest.raises(CaseError, match="got NaN or infinity"):
            load(tmp_path, [{"image": "i.nii", "mask": "m.nii", "target": "block"}], **masks)[0]


class TestSubjectsOfPaths:
    """Volumes of equal names in folders of patients were one subject, and nothing said so."""

    @pytest.mark.parametrize(
        ("names", "subjects"),
        [
            (["p1/t1.nii", "p2/t1.nii", "p2/t2.nii"], ["p1", "p2"]),
            (["p1/anat/t1.nii", "p2/anat/t1.nii"], ["p1", "p2"]),
            (["sub-01/ses-1/sub-01_ses-1_T1w.nii", "sub-01/ses-2/sub-01_ses-2_T1w.nii"], ["sub-01"]),
            (["images/p1/t1.nii", "images/p2/t1.nii", "masks/p1/t1.nii"], ["p1", "p2"]),
            (["imagesTr/a_001.nii", "imagesTr/a_002.nii", "labelsTr/a_001.nii"], ["a_001", "a_002"]),
        ],
    )
    def test_folders_and_names_tell(self, tmp_path: Path, names: list[str], subjects: list[str]) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            phantom.write_nifti(tmp_path / name, HEAD, AFFINE)
        images = [name for name in names if not name.startswith(("masks", "labels"))]
        rows = [{"image": name, "mask": mask(tmp_path), "case_id": str(n)} for n, name in enumerate(images)]
        data = load(tmp_path, rows)
        assert sorted({info.subject_id for info in data.infos}) == subjects
        assert any("names no patient" in note for note in data.notes)

    def test_patients_with_equal_folders_of_series(self, tmp_path: Path) -> None:
        for patient in ("p1", "p2"):
            (tmp_path / patient).mkdir()
            series(tmp_path / patient, PatientID="")
        rows = [{"image": f"{p}/series", "mask": f"{p}/m.nii.gz"} for p in ("p1", "p2")]
        assert {info.subject_id for info in load(tmp_path, rows).infos} == {"p1", "p2"}


def write_nrrd(path: Path, voxels: np.ndarray, *fields: str) -> None:
    kind = {"int16": "short", "uint8": "uchar"}[voxels.dtype.name]
    sizes = " ".join(map(str, voxels.shape))
    head = f"NRRD0004\ntype: {kind}\ndimension: 3\nsizes: {sizes}\nencoding: raw\nendian: little\n"
    path.write_bytes((head + "\n".join(fields) + "\n\n").encode() + voxels.tobytes(order="F"))


class TestNrrdAndMeta:
    DIRECTIONS = ("space directions: (1.5,0,0) (0,2,0) (0,0,3)", "space origin: (-15,-24,-20)")

    def test_a_stated_space_is_the_place_in_the_patient(self, tmp_path: Path, plain: list[Any]) -> None:
        write_nrrd(tmp_path / "i.nrrd", HEAD, "space: right-anterior-superior", *self.DIRECTIONS)
        assert shown(load(tmp_path, [{"image": "i.nrrd", "mask": mask(tmp_path)}])) == plain

    @pytest.mark.parametrize("fields", [("spacings: 1.5 2 3",), ("space: scanner-xyz", *DIRECTIONS)])
    def test_without_one_no_plane_is_known(self, tmp_path: Path, fields: tuple[str, ...]) -> None:
        for name, voxels in (("i.nrrd", HEAD), ("m.nrrd", VALUES)):
            write_nrrd(tmp_path / name, voxels, *fields)
        rows = [{"image": "i.nrrd", "mask": "m.nrrd"}]
        with pytest.raises(InputError, match="does not say how it lies in the patient"):
            load(tmp_path, rows)
        assert load(tmp_path, rows, slices=None)[0].spacing_mm == pytest.approx((2.0, 1.5))

    @pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("cm", 10), ("m", 1000), ("um", 0.001)])
    def test_the_unit_of_its_space_counts(self, tmp_path: Path, unit: str, factor: float, plain: list[Any]) -> None:
        """SimpleITK takes all of them for millimetres."""
        fields = [
            "space: right-anterior-superior",
            f'space units: "{unit}" "{unit}" "{unit}"',
            f"space directions: ({1.5 / factor},0,0) (0,{2 / factor},0) (0,0,{3 / factor})",
            f"space origin: ({-15 / factor},{-24 / factor},{-20 / factor})",
        ]
        write_nrrd(tmp_path / "i.nrrd", HEAD, *fields)
        data = load(tmp_path, [{"image": "i.nrrd", "mask": mask(tmp_path)}])
        assert shown(data) == plain
        assert data[0].spacing_mm == pytest.approx((2.0, 1.5))

    @pytest.mark.parametrize("units", ['"mm" "mm" "s"', '"pixel" "pixel" "pixel"'])
    def test_a_unit_that_is_no_length_is_refused(self, tmp_path: Path, units: str) -> None:
        fields = ["space: right-anterior-superior", f"space units: {units}", *self.DIRECTIONS]
        write_nrrd(tmp_path / "i.nrrd", HEAD, *fields)
        with pytest.raises(CaseError, match="expected space units of one length"):
            load(tmp_path, [{"image": "i.nrrd", "mask": mask(tmp_path)}])[0]

    def test_a_meta_image_without_a_transform_is_nowhere(self, tmp_path: Path) -> None:
        head = (
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nElementSpacing = 1.5 2 3\nDimSize = 20 24 16\n"
            "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        )
        (tmp_path / "i.mha").write_bytes(head.encode() + HEAD.tobytes(order="F"))
        with pytest.raises(InputError, match="does not say how it lies in the patient"):
            load(tmp_path, [{"image": "i.mha", "mask": mask(tmp_path)}])

    @pytest.mark.parametrize("layers", [1, 2])
    def test_segments_of_slicer_have_their_names(self, tmp_path: Path, layers: int, plain: list[Any]) -> None:
        import SimpleITK as sitk  # noqa: N813

        head, affine = phantom.stored(HEAD, AFFINE, "LPS")
        phantom.write_sitk(tmp_path / "i.nrrd", head, affine)
        stored = phantom.stored(VALUES, AFFINE, "LPS")[0].transpose(2, 1, 0)
        own = [stored] if layers == 1 else [(stored == value).astype(np.uint8) for value in (1, 2)]
        images = [sitk.GetImageFromArray(np.ascontiguousarray(layer)) for layer in own]
        image = images[0] if layers == 1 else sitk.Compose(*images)
        image.CopyInformation(sitk.ReadImage(str(tmp_path / "i.nrrd")))
        for number, name in enumerate(("marker", "block")):
            layer, value = (0, number + 1) if layers == 1 else (number, 1)
            for key, text in (("Name", name), ("LabelValue", value), ("Layer", layer)):
                image.SetMetaData(f"Segment{number}_{key}", str(text))
        sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
        assert shown(load(tmp_path, [{"image": "i.nrrd", "mask": "m.seg.nrrd"}], labels=None)) == plain


class TestMasksBesideTheirImage:
    """Voxels are matched by their place: foreground outside of the image was left out in silence."""

    def moved(self, folder: Path, voxels: int) -> list[dict[str, str]]:
        affine = AFFINE.copy()
        affine[0, 3] += 1.5 * voxels
        phantom.write_nifti(folder / "i.nii.gz", HEAD, affine)
        return [{"image": "i.nii.gz", "mask": mask(folder)}]

    def test_a_part_is_remarked(self, tmp_path: Path) -> None:
        data = load(tmp_path, self.moved(tmp_path, 5))
        left_out = int((VALUES[:5] > 0).sum())
        assert left_out
        assert any(f"{left_out} of the {int((VALUES > 0).sum())} voxels of a mask's" in note for note in data.notes)

    def test_all_of_it_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match="expected foreground inside of its image, got all of it"):
            load(tmp_path, self.moved(tmp_path, 17))[0]

    def test_a_mask_in_another_order_of_axes_is_not_remarked(self, tmp_path: Path) -> None:
        phantom.write_nifti(tmp_path / "i.nii.gz", *phantom.stored(HEAD, AFFINE, "PIR"))
        data = load(tmp_path, [{"image": "i.nii.gz", "mask": mask(tmp_path)}])
        assert not any("outside of its image" in note for note in data.notes)


@pytest.mark.parametrize("name", ["i.mha", "i.nrrd"])
def test_voxels_that_are_cut_off_are_told_without_an_address_in_memory(tmp_path: Path, name: str) -> None:
    import SimpleITK as sitk  # noqa: N813

    noise = np.random.default_rng(0).integers(0, 1000, (16, 24, 20)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(tmp_path / name), True)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-900])
    with pytest.raises(CaseError, match=r"is the file complete\?$") as caught:
        sitk_image.SitkVolume(tmp_path / name).voxels()
    assert "(0x" not in str(caught.value)
    assert "No such file" not in str(caught.value)


def _damaged(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 0x10
    path.write_bytes(bytes(content))


class TestChecksums:
    """Readers stop at the last voxel, or hand on what they could unpack: damage would be read as voxels."""

    @pytest.mark.parametrize("at", [0.4, 0.6, 0.8])
    @pytest.mark.parametrize("name", ["i.nii.gz", "i.mha", "i.mhd"])
    def test_packed_voxels_that_contradict_theirs_are_refused(self, tmp_path: Path, name: str, at: float) -> None:
        import nibabel
        import SimpleITK as sitk  # noqa: N813

        voxels = np.random.default_rng(0).integers(0, 1000, (24, 24, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), tmp_path / "i.nii.gz")
        for meta in ("i.mha", "i.mhd"):
            sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / meta), useCompression=True)
        assert open_volume(tmp_path / name).voxels().shape == voxels.shape
        _damaged(tmp_path / name.replace("mhd", "zraw"), at)
        with pytest.raises(CaseError, match=r"is the file complete\?$"):
            open_volume(tmp_path / name).voxels()

    @pytest.mark.parametrize("cut", [4, 300])
    def test_packed_voxels_that_end_too_early_are_refused(self, tmp_path: Path, cut: int) -> None:
        import SimpleITK as sitk  # noqa: N813

        path = tmp_path / "i.mha"
        voxels = np.random.default_rng(0).integers(0, 1000, (24, 24, 24)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path), useCompression=True)
        path.write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(CaseError, match=r"is the file complete\?$"):
            open_volume(path).voxels()

    def test_a_png_whose_pixels_contradict_theirs_is_refused(self, tmp_path: Path) -> None:
        """Its packed pixels are those of another image, which Pillow would show."""
        one, other = (np.full((40, 40), level, np.uint8) for level in (1, 2))
        for name, pixels in (("a.png", one), ("b.png", other)):
            PILImage.fromarray(pixels).save(tmp_path / name)
        content, strange = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
        start, stop = content.index(b"IDAT") + 4, content.index(b"IEND") - 8
        (tmp_path / "a.png").write_bytes(content[:start] + strange[start:stop] + content[stop:])
        with PILImage.open(tmp_path / "a.png") as shown_by_pillow:
            assert np.array_equal(np.asarray(shown_by_pillow), other)
        with pytest.raises(OSError, match="contradict their checksum"):
            open_image(tmp_path / "a.png")
        with pytest.raises(AnswerError, match="contradict their checksum"):
            decode_image(tmp_path / "a.png", None, "pair 0")
