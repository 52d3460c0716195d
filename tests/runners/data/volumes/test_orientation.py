"""One head, many formats and stored orders: always the same image, with the patient's right on its left."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.errors import InputError
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.open import open_volume
from robustness.runners.data.volumes.orientation import obliquity_degrees, view_of
from tests.runners.data.volumes import phantom

pytest.importorskip("nibabel")
pytest.importorskip("SimpleITK")
pytest.importorskip("pydicom")

ORDERS = ("RAS", "LPS", "LAS", "RPI", "ASL", "PIR", "SLP")
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}
# In radiological display every plane of RAS voxels is transposed and turned by half.
EXPECTED = {
    plane: [np.take(phantom.head_ras(), i, axis).T[::-1, ::-1] for i in range(phantom.SHAPE[axis])]
    for plane, axis in PLANES.items()
}


def images_of(volume, plane, orientation="radiological"):
    """Images of all slices, from the patient's left, back or feet upwards."""
    view = view_of(volume.header, plane, orientation, "phantom")
    images = [view.image(volume.plane(view.axis, index)) for index in range(view.count)]
    return (images if view.ascending else images[::-1]), view


def write(kind, tmp_path, voxels, affine):
    if kind == "series":
        return phantom.write_series(tmp_path / "series", voxels, affine)
    return {"nii": phantom.write_nifti, "nii.gz": phantom.write_nifti}.get(kind, phantom.write_sitk)(
        tmp_path / f"head.{kind}", voxels, affine
    )


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd", "mha", "series"])
def test_every_format_and_order_shows_the_same_image(tmp_path, kind, order, plane):
    voxels, affine = phantom.stored(phantom.head_ras(), phantom.affine_ras(), order)
    if kind == "series" and np.linalg.det(affine[:3, :3]) * -1 > 0:
        # Slices of a series are sorted along the normal, so its axes are right-handed in LPS+.
        voxels, affine = voxels[:, :, ::-1], affine @ _flip(2, voxels.shape)
    images, view = images_of(open_volume(write(kind, tmp_path, voxels, affine)), plane)
    assert len(images) == len(EXPECTED[plane])
    assert all(np.array_equal(image, expected) for image, expected in zip(images, EXPECTED[plane], strict=True))
    axis = PLANES[plane]
    rest = [phantom.SPACING[a] for a in range(3) if a != axis]
    assert view.spacing_mm == pytest.approx((rest[1], rest[0]))


def _flip(axis, shape):
    change = np.eye(4)
    change[axis, axis], change[axis, 3] = -1, shape[axis] - 1
    return change


@pytest.mark.parametrize("order", ["RAS", "LPS", "PIR"])
def test_the_patients_right_is_on_the_images_left(tmp_path, order):
    voxels, affine = phantom.stored(phantom.head_ras(), phantom.affine_ras(), order)
    volume = open_volume(phantom.write_nifti(tmp_path / "head.nii", voxels, affine))
    for plane in ("axial", "coronal"):
        images, _ = images_of(volume, plane)
        image = max(images, key=lambda i: (i == 1000).sum())
        rows, columns = np.nonzero(image == 1000)
        assert columns.mean() < image.shape[1] / 2
        assert rows.mean() < image.shape[0] / 2
        neurological, _ = images_of(volume, plane, "neurological")
        turned = max(neurological, key=lambda i: (i == 1000).sum())
        assert np.nonzero(turned == 1000)[1].mean() > turned.shape[1] / 2


@pytest.mark.parametrize("order", ["RAS", "LPS", "ASL"])
@pytest.mark.parametrize("kind", ["nii", "nrrd", "series"])
def test_an_oblique_volume_agrees_with_nibabel_and_simpleitk(tmp_path, kind, order):
    import nibabel
    import SimpleITK as sitk  # noqa: N813

    voxels, affine = phantom.stored(phantom.head_ras(), phantom.rotated(phantom.affine_ras(), 20), order)
    if kind == "series" and np.linalg.det(affine[:3, :3]) * -1 > 0:
        voxels, affine = np.ascontiguousarray(voxels[:, :, ::-1]), affine @ _flip(2, voxels.shape)
    volume = open_volume(write(kind, tmp_path, voxels, affine))
    assert obliquity_degrees(volume.header.affine) == pytest.approx(20, abs=0.1)
    closest = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine)).dataobj
    oriented = sitk.DICOMOrient(sitk.ReadImage(str(phantom.write_sitk(tmp_path / "x.mha", voxels, affine))), "LPS")
    from_sitk = sitk.GetArrayFromImage(oriented)
    for plane, axis in PLANES.items():
        images, _ = images_of(volume, plane)
        canonical = [np.take(np.asarray(closest), i, axis).T[::-1, ::-1] for i in range(len(images))]
        assert all(np.array_equal(a, b) for a, b in zip(images, canonical, strict=True))
        if plane == "axial":
            assert all(np.array_equal(a, b) for a, b in zip(images, from_sitk, strict=True))


def test_a_stated_display_is_obeyed(tmp_path):
    volume = open_volume(phantom.write_nifti(tmp_path / "head.nii", phantom.head_ras(), phantom.affine_ras()))
    images, view = images_of(volume, "axial", "RA")
    assert np.array_equal(images[11], phantom.head_ras()[:, :, 11].T)
    assert view.display == "RA"


@pytest.mark.parametrize(
    ("plane", "orientation", "message"),
    [("axal", "radiological", "expected one of"), ("axial", "PS", "axial plane"), ("axial", "radio", "two letters")],
)
def test_what_is_no_plane_or_display_is_refused(plane, orientation, message):
    header = Header(phantom.SHAPE, phantom.affine_ras(), phantom.SPACING)
    with pytest.raises(InputError, match=message):
        view_of(header, plane, orientation, "head.nii")


def test_a_file_without_a_place_in_the_patient_has_stored_slices_only():
    header = Header((20, 24, 1), None, (0.3, 0.2, 1.0))
    with pytest.raises(InputError, match="plane = 'stored'"):
        view_of(header, "axial", "radiological", "frame.nii")
    view = view_of(header, "stored", "radiological", "frame.nii")
    assert view.spacing_mm == (0.2, 0.3)
    assert view.image(np.zeros((20, 24))).shape == (24, 20)


@pytest.mark.parametrize("degrees", [0, 20])
@pytest.mark.parametrize("kind", ["nii.gz", "nrrd", "mha", "series"])
def test_every_format_gives_the_same_case_and_the_same_side_words(tmp_path, kind, degrees):
    from robustness.runners.data.load import load_dataset

    voxels, affine = phantom.stored(phantom.head_ras(), phantom.rotated(phantom.affine_ras(), degrees), "LPS")
    image = write(kind, tmp_path, voxels, affine)
    phantom.write_nifti(tmp_path / "mask.nii", (voxels == 1000).astype(np.uint8), affine)
    (tmp_path / "cases.csv").write_text(f"image,mask,subject_id\n{image.name},mask.nii,p1\n")
    data = load_dataset(tmp_path / "cases.csv", labels={"1": "marker"}, slices={"plane": "axial"}, window=[0, 1000])
    cases = sorted(data, key=lambda case: case.metadata["slice"])
    assert len(cases) == 3
    for case, expected in zip(cases, EXPECTED["axial"][10:13], strict=True):
        assert np.array_equal(case.mask, expected == 1000)
        assert np.array_equal(case.image[..., 0], np.rint(expected / 1000 * 255).astype(np.uint8))
        assert "left" in case.prompt.text
        assert "right" not in case.prompt.text
