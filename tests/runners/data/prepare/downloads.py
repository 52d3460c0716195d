"""Miniatures of published downloads: folders, names, modes and mask values as their publishers write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 48


def blob(number: int, *, away: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - 12 - number % 5 - away, columns - 14 - 3 * (number % 4) - away) <= 7


def picture(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    base = rng.integers(40, 110, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    base[blob(number)] = (210, 140, 120)
    return base


def save(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)


def binary(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


def kvasir(root: Path) -> dict[str, np.ndarray]:
    names = [f"cju0qkwl35piu0993l0dewei{n}" for n in range(4)]
    for n, name in enumerate(names):
        save(root / "Kvasir-SEG" / "images" / f"{name}.jpg", picture(n), quality=92)
        rgb = np.repeat(binary(blob(n))[..., None], 3, axis=2)
        save(root / "Kvasir-SEG" / "masks" / f"{name}.jpg", rgb, quality=95)
    (root / "Kvasir-SEG" / "kavsir_bboxes.json").write_text("{}")
    return {name: blob(n) for n, name in enumerate(names)}


def clinicdb(root: Path) -> dict[str, np.ndarray]:
    rows = ["frame_id,sequence_id,tif_image_path,tif_mask_path,png_image_path,png_mask_path"]
    for n in range(1, 7):
        for kind, end in (("TIF", "tif"), ("PNG", "png")):
            save(root / kind / "Original" / f"{n}.{end}", picture(n))
            save(root / kind / "Ground Truth" / f"{n}.{end}", binary(blob(n)))
        rows.append(f"{n},{(n + 1) // 2},a,b,c,d")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return {str(n): blob(n) for n in range(1, 7)}


def clinicdb_archive(root: Path) -> dict[str, np.ndarray]:
    for n in range(1, 5):
        save(root / "CVC-ClinicDB" / "Original" / f"{n}.tif", picture(n))
        save(root / "CVC-ClinicDB" / "Ground Truth" / f"{n}.tif", binary(blob(n)))
    return {str(n): blob(n) for n in range(1, 5)}


def pranet(name: str):
    def write(root: Path) -> dict[str, np.ndarray]:
        for n in (1, 2, 10, 11):
            save(root / "TestDataset" / name / "images" / f"{n}.png", picture(n))
            save(root / "TestDataset" / name / "masks" / f"{n}.png", binary(blob(n)))
        return {str(n): blob(n) for n in (1, 2, 10, 11)}

    return write


def colondb_archive(root: Path) -> dict[str, np.ndarray]:
    for n in range(1, 5):
        save(root / "CVC-ColonDB" / f"{n}.bmp", picture(n))
        save(root / "CVC-ColonDB" / f"p{n}.bmp", binary(blob(n)))
        for other in "sc":
            save(root / "CVC-ColonDB" / f"{other}{n}.bmp", binary(blob(n + 1)))
    return {str(n): blob(n) for n in range(1, 5)}


def etis_archive(root: Path) -> dict[str, np.ndarray]:
    for n in range(1, 5):
        save(root / "ETIS-LaribPolypDB" / "ETIS-LaribPolypDB" / f"{n}.tif", picture(n))
        save(root / "ETIS-LaribPolypDB" / "Ground Truth" / f"p{n}.tif", binary(blob(n)))
    return {str(n): blob(n) for n in range(1, 5)}


def etis_flat(root: Path) -> dict[str, np.ndarray]:
    for n in range(1, 5):
        save(root / f"{n}.tif", picture(n))
        save(root / "Ground Truth" / f"p{n}.tif", binary(blob(n)))
    return {str(n): blob(n) for n in range(1, 5)}


def bkai(root: Path) -> dict[str, np.ndarray]:
    names = [f"0081835cf877e004e8bfb905b78a913{n}" for n in range(4)]
    for n, name in enumerate(names):
        colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        colors[blob(n)] = (255, 0, 0) if n % 2 else (0, 255, 0)
        save(root / "train" / "train" / f"{name}.jpeg", picture(n), quality=92)
        save(root / "train_gt" / "train_gt" / f"{name}.jpeg", colors, quality=95, subsampling=0)
    save(root / "test" / "test" / "x.jpeg", picture(9))
    return {name: blob(n) for n, name in enumerate(names)}


def isic_2016(root: Path) -> dict[str, np.ndarray]:
    made = {}
    for split, first in (("Training", 0), ("Test", 3)):
        for n in range(first, first + 3):
            name = f"ISIC_000000{n}"
            save(root / f"ISBI2016_ISIC_Part1_{split}_Data" / f"{name}.jpg", picture(n), quality=92)
            save(root / f"ISBI2016_ISIC_Part1_{split}_GroundTruth" / f"{name}_Segmentation.png", binary(blob(n)))
            made[f"{name}_Segmentation"] = blob(n)
    return made


def isic_2018(root: Path) -> dict[str, np.ndarray]:
    made, rows = {}, ["isic_id,lesion_id,sex,age_approx"]
    for split, first in (("Training", 0), ("Validation", 2), ("Test", 4)):
        for n in range(first, first + 2):
            name = f"ISIC_000000{n}"
            save(root / f"ISIC2018_Task1-2_{split}_Input" / f"{name}.jpg", picture(n), quality=92)
            save(root / f"ISIC2018_Task1_{split}_GroundTruth" / f"{name}_segmentation.png", binary(blob(n)))
            made[f"{name}_Segmentation"] = blob(n)
            rows.append(f"{name},IL_{n:07d},female,{50 + n}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return made


def dfu(root: Path) -> dict[str, np.ndarray]:
    for n in range(100001, 100005):
        save(root / "DFUC2022_train_release" / "DFUC2022_train_images" / f"{n}.jpg", picture(n), quality=92)
        save(root / "DFUC2022_train_release" / "DFUC2022_train_masks" / f"{n}.png", binary(blob(n)))
    return {str(n): blob(n) for n in range(100001, 100005)}


def busi(root: Path) -> dict[str, np.ndarray]:
    made = {}
    for grade in ("benign", "malignant", "normal"):
        folder = root / "Dataset_BUSI_with_GT" / grade
        for n in (1, 2):
            seed = n + 10 * len(grade)
            mask = blob(n) if grade != "normal" else np.zeros((HEIGHT, WIDTH), bool)
            save(folder / f"{grade} ({n}).png", picture(seed))
            save(folder / f"{grade} ({n})_mask.png", Image.fromarray(binary(mask)).convert("1"))
            if grade == "benign" and n == 2:
                save(folder / "benign (2)_mask_1.png", Image.fromarray(binary(blob(n, away=14))).convert("RGBA"))
                mask = mask | blob(n, away=14)
            made[f"{n}_{grade}"] = mask
    return made


def camus(root: Path) -> dict[str, np.ndarray]:
    import nibabel

    made = {}
    for n in (1, 2, 3, 4):
        patient = f"patient{n:04d}"
        folder = root / "database_nifti" / patient
        folder.mkdir(parents=True)
        for view in ("2CH", "4CH"):
            (folder / f"Info_{view}.cfg").write_text(
                f"ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: {50 + n}\nImageQuality: Good\nEF: 54\nFrameRate: 48.8\n"
            )
            for phase in ("ED", "ES"):
                stem = f"{patient}_{view}_{phase}"
                labels = np.zeros((HEIGHT, WIDTH), np.uint8)
                labels[blob(n)] = 2
                labels[blob(n) & np.roll(blob(n), 4, 0) & np.roll(blob(n), -4, 0)] = 1
                labels[25 + n : 36, 30:44] = 3
                gray = picture(n + len(made))[..., 0]
                for end, values in (("", gray), ("_gt", labels)):
                    image = nibabel.Nifti1Image(values.T, np.diag([0.308, 0.308, 1.0, 1.0]))
                    nibabel.save(image, folder / f"{stem}{end}.nii.gz")
                made |= {f"mask_{value}__{stem}_gt": labels == value for value in (1, 2, 3)}
    (root / "database_split").mkdir()
    for name, ids in (("training", (1, 2)), ("validation", (3,)), ("testing", (4,))):
        lines = "\n".join(f"patient{n:04d}" for n in ids)
        (root / "database_split" / f"subgroup_{name}.txt").write_text(lines + "\n")
    return made


def chexlocalize(root: Path) -> dict[str, np.ndarray]:
    from pycocotools import mask as coco

    made, document = {}, {}
    for n in range(3):
        name = f"patient6454{n}_study1_view1_frontal"
        save(
            root / "CheXpert" / "val" / f"patient6454{n}" / "study1" / "view1_frontal.jpg",
            picture(n)[..., 0],
            quality=92,
        )
        findings = {"Cardiomegaly": blob(n), "Support Devices": blob(n, away=12), "Edema": np.zeros_like(blob(n))}
        document[name] = {}
        for finding, mask in findings.items():
            code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            document[name][finding] = {"size": code["size"], "counts": code["counts"].decode()}
            if mask.any():
                made[f"{name}_{finding.lower().replace(' ', '_')}"] = mask
    (root / "CheXlocalize").mkdir()
    (root / "CheXlocalize" / "gt_segmentations_val.json").write_text(json.dumps(document))
    return made


def decathlon(root: Path) -> dict[str, np.ndarray]:
    import nibabel

    task, made, pairs = root / "Task04_Hippocampus", {}, []
    for n in (1, 2, 3, 4, 6, 7):
        stem = f"hippocampus_{n:03d}"
        voxels = np.random.default_rng(n).normal(500, 60, (WIDTH, HEIGHT, 4)).astype(np.float32)
        labels = np.zeros((WIDTH, HEIGHT, 4), np.uint8)
        labels[..., 1:3] = (blob(n).T * 1 + blob(n, away=14).T * 2)[..., None]
        for folder, values in (("imagesTr", voxels), ("labelsTr", labels)):
            (task / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), task / folder / f"{stem}.nii.gz")
        pairs.append({"image": f"./imagesTr/{stem}.nii.gz", "label": f"./labelsTr/{stem}.nii.gz"})
        for k in (1, 2):
            for value, label in ((1, "anterior"), (2, "posterior")):
                made[f"{stem}_axial{k:03d}_{label}-hippocampus"] = labels[..., k].T[::-1, ::-1] == value
    card = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": pairs,
    }
    (task / "dataset.json").write_text(json.dumps(card))
    return made


def generic(root: Path) -> dict[str, np.ndarray]:
    rows = ["image,patient_id,split,scanner"]
    for n in range(6):
        save(root / "images" / f"scan{n}.png", picture(n))
        save(root / "masks" / f"scan{n}_mask.png", binary(blob(n)))
        rows.append(f"scan{n}.png,P{n // 2},{('train', 'val', 'test')[n // 2]},scanner{n % 2}")
    (root / "table.csv").write_text("\n".join(rows) + "\n")
    return {f"scan{n}": blob(n) for n in range(6)}
