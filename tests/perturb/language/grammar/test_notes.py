"""Notes: what only stands beside a finding, in the same statement or in another one, is not asked for."""

from __future__ import annotations

import pytest

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.preview import perturb_prompt
from tests.perturb.prompt_cases import values


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        # What is as usual, how the picture was made, devices, residue, questions and history, beside a finding.
        ("Pancreas homogeneous; hypodense lesion", "lesion"),
        ("heel clean, ulcer on the toe", "ulcer"),
        ("everything but the kidney is normal; renal cyst", "renal cyst"),
        ("Everything apart from the spleen is normal; there is a splenic cyst", "splenic cyst"),
        ("both knees imaged; meniscal tear on the left", "meniscal tear"),
        ("Image slightly motion degraded. Subdural haematoma over the convexity.", "Subdural haematoma"),
        ("PA chest, nodule in the right upper zone", "nodule"),
        ("Good bowel preparation. 6 mm polyp in the rectum.", "polyp"),
        ("Residual stool. Two sessile polyps", "polyps"),
        ("Without contrast, liver cyst", "liver cyst"),
        ("ETT in situ. Collapse of the left lower lobe", "Collapse"),
        ("Sternal wires noted. Bilateral pleural effusions.", "pleural effusions"),
        ("Scope withdrawn to the sigmoid: flat lesion", "lesion"),
        ("r/o pneumonia. Retrocardiac opacity", "Retrocardiac opacity"),
        ("?PE. Filling defect in the right main pulmonary artery.", "Filling defect"),
        ("Previous ACL repair; graft intact", "graft"),
        ("stool obscures a polyp", "polyp"),
        ("Bubbles hide part of the lesion in the sigmoid", "lesion"),
        ("Chest tube removed. Small residual pneumothorax on the right.", "pneumothorax"),
        ("Endoscope introduced to the second part of the duodenum: periampullary mass", "periampullary mass"),
        ("upper pole of the left kidney: cyst", "cyst"),
        ("a fold partly hides the adenoma", "adenoma"),
        ("Blood covers the ulcer base", "ulcer base"),
        ("The supplied picture includes a tumour of the tongue", "tumour"),
        ("Lung bases clear, hiatus hernia noted", "hiatus hernia"),
        ("effusion noted", "effusion"),
        ("Caecal intubation achieved; 1 cm polyp in the transverse colon", "polyp"),
        ("Exclude stone: hyperdense focus at the right VUJ", "focus"),
        # Affirmed, compared, likened.
        ("No doubt a haemangioma", "haemangioma"),
        ("Unable to exclude a fracture of the ulna", "fracture"),
        ("No change in the 8 mm nodule", "nodule"),
        ("Not only a cyst but also a nodule in the thyroid", "cyst nodule"),
        ("cells look like spindles", "cells"),
        ("mole looking darker", "mole"),
        ("the lump feels like a marble", "lump"),
        ("Prostate enlarged. Lesion in the left peripheral zone", "Prostate Lesion"),
        # The same words where they are asked for.
        ("macula flat", "macula"),
        ("query melanoma on the left cheek", "melanoma"),
        ("Pigtail catheter and the abscess around it", "Pigtail catheter abscess"),
        ("Fractured pacing lead; pleural effusion on the left", "pacing lead pleural effusion"),
        ("Debris in the bladder", "Debris"),
        ("wall of the bladder: thickened", "wall of the bladder"),
        ("outline the stool", "stool"),
        ("ETT in situ", "ETT"),
        ("r/o pneumonia", "pneumonia"),
        ("Food residue obscures the fundus", "Food residue"),
        ("a mass obscures the left heart border", "mass"),
        ("Show me which fold hides the adenoma", "fold"),
        ("Segment the feeding tube. It lies in the stomach.", "feeding tube"),
        ("This looks like a melanoma", "melanoma"),
        ("the bubbles covering the polyp", "bubbles"),
        ("The stool obscures a polyp", "polyp"),
        # What covers a thing: an article before it names it, unless a verb states what it does.
        ("bubbles covering the polyp", "polyp"),
        ("glare masking the ulcer", "ulcer"),
        ("the glare masking the ulcer", "glare"),
        ("The glare masks the ulcer", "ulcer"),
        ("Stool is covering the polyp", "polyp"),
        ("The stool that covers the polyp", "stool"),
        # Devices, tools and residue that are only seen somewhere.
        ("Clip visible. Ulcer base with an adherent clot", "Ulcer base"),
        ("gel bubbles at the edge. Seborrhoeic keratosis", "Seborrhoeic keratosis"),
        ("liquid stool in the cecum; polyp", "polyp"),
        ("Shadowing from ribs. Cyst in the left adnexa", "Cyst"),
        ("Cataract limits view. Disc pale", "Disc"),
        ("NGT in stomach, bibasal atelectasis", "atelectasis"),
        ("Clip visible", "Clip"),
        ("Stent fractured; stricture of the duct", "Stent stricture"),
        # What is calm or denied before what is found.
        ("quiet eye, corneal ulcer", "corneal ulcer"),
        ("kidneys normal, no stones, aorta calcified", "aorta"),
        ("No stones in the right kidney, cyst in the left", "cyst"),
        ("no stones, cysts, masses", "stones"),
        ("pleural effusion wasn't found. Rib fracture.", "Rib fracture"),
        ("Nil acute infarct. Old lacune in the thalamus", "lacune"),
        # A clinical question and what is found.
        ("Suspected DVT. Thrombus in the popliteal vein.", "Thrombus"),
        ("Suspected pneumothorax. No effusion.", "pneumothorax"),
        ("Bowel obstruction? Dilated small bowel loops", "small bowel loops"),
        ("Is there a carcinoma? Show it.", "carcinoma"),
        # Verbs of change, and names that hold a finding.
        ("the aneurysm has grown", "aneurysm"),
        ("Leg ulcer improving", "Leg ulcer"),
        ("the fracture plate with screws", "fracture plate"),
        ("line of fracture", "line of fracture"),
        # Figures of an organ, and each denial for itself.
        ("Aorta 4.6 cm, thrombus in the arch", "thrombus"),
        ("Aorta 4.6 cm, dilated", "Aorta"),
        ("no network, no globules, arborizing vessels at the periphery", "vessels"),
        ("Query PE - filling defect in the left lower lobe", "filling defect"),
        ("Snare closed at the edge, flat polyp on a fold", "polyp"),
        ("CFV compressible. Echogenic clot in the popliteal vein", "clot"),
        ("Small pupil, hazy view. ONH tilted", "ONH"),
        ("dilated loops, transition point in the RIF", "loops"),
        # What was there, and what is denied beside a known thing.
        ("pneumothorax resolved, pleural effusion", "pleural effusion"),
        ("hydronephrosis resolved, residual stone at the VUJ", "stone"),
        ("Hair removed before imaging; irregular streaks", "streaks"),
        ("effusion smaller, pneumothorax gone", "effusion"),
        ("effusion resolved", "effusion"),
        ("polyp to be removed, 8 mm", "polyp"),
        ("Known meningioma, stable. No new lesion.", "meningioma"),
        ("Status post polypectomy, no residual polyp", "polyp"),
    ],
)
def test_what_only_stands_beside_a_finding_is_not_asked_for(text: str, targets: str) -> None:
    assert " ".join(a.value for a in parse_prompt(text).attributes if a.kind == "target") == targets


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        # A statement of unknown words, technique, a device or the course of the examination, before a finding.
        ("Prep adequate, BBPS 7. Sessile polyp 8 mm in sigmoid.", "polyp"),
        ("Caecum reached, ICV photographed. Two flat lesions, pale.", "lesions"),
        ("VAC off for photo. Maceration around the wound.", "Maceration"),
        ("Tubes and lines as before. PTX on left bigger than yesterday.", "PTX"),
        ("PE protocol, good opacification. Filling defect RLL.", "Filling defect"),
        ("Mech MVR well seated. Small paravalvular jet laterally.", "paravalvular jet"),
        ("Good LV function. Small pericardial effusion", "pericardial effusion"),
        ("Good signal strength. Epiretinal membrane with folds", "Epiretinal membrane"),
        ("Staining uneven, glands crowded", "glands"),
        ("Hardware intact, nonunion of the tibial shaft", "nonunion"),
        ("blood washed away, visible vessel in the ulcer base", "vessel"),
        ("Dense tissue, heterogeneous background. Complex cystic and solid mass", "mass"),
        # What is old, treated, unchanged, felt or to be left out, wherever it stands.
        ("Apical scarring stable. New RUL cavity, thick walled.", "cavity"),
        ("Naevus L cheek stable since 2022; new satellite lesion inferiorly.", "satellite lesion"),
        ("Excised BCC 2021, scar quiet. Adjacent red papule.", "papule"),
        ("Eschar debrided last wk. Wound bed now granulating.", "Wound bed"),
        ("2 nodules LUL; old rib fx.", "nodules"),
        ("Palpable lump R UOQ. Irregular hypoechoic mass 14 mm.", "mass"),
        ("Fold lower right, ignore. Glands crowded.", "Glands"),
        ("Scar from prior EMR, recurrent adenoma at its edge", "adenoma"),
        ("55M, FHx melanoma. Back: asymmetric brown macule 7 mm.", "macule"),
        ("Compared w 2023: no change in globules. New peripheral streaks.", "streaks"),
        ("Screening, prior benign bx. L 2 o'clock isoechoic nodule, 8 mm, stable.", "nodule"),
        ("Lymphoma f/u, CR. Residual soft tissue, 2 cm.", "soft tissue"),
        ("Day 5 post graft. Slough at the lower margin.", "Slough"),
        ("Gastric fundic gland polyps, numerous, known. Antral mass 3 cm.", "Antral mass"),
        ("Device closure 2019, well positioned. Residual shunt, 2 mm.", "shunt"),
        # What was not seen, what was done, and a device in its place.
        ("Fasted. Pancreas tail obscured by gas. GB polyp 5 mm.", "GB polyp"),
        ("Water jet used. Angioectasia caecum, 4 mm.", "Angioectasia"),
        ("Aortic stent graft in place. Endoleak type II.", "Endoleak"),
        ("Dry gangrene. Cellulitis none.", "gangrene"),
        ("36 RCT short. Furcation bone loss, grade II.", "Furcation bone loss"),
        ("Core bx, 3 fragments. Infiltrating glands, Gleason 3+4.", "glands"),
        # A disease of the whole patient, a suspicion, a question and its answer.
        ("Psoriasis on biologics. Plaques both elbows, silvery scale.", "Plaques"),
        ("Glaucoma, cup large", "cup"),
        ("Endocarditis suspected. Vegetation on anterior leaflet, 9 mm.", "Vegetation"),
        ("? free air. None seen. Dilated small bowel loops centrally.", "small bowel loops"),
        ("Clinical question: MS? Ovoid periventricular lesion", "periventricular lesion"),
        ("Comparison 2 days ago: effusion larger on the right", "effusion"),
        ("Brain normal for age except for two white matter lesions", "white matter lesions"),
        # Each new statement of a finding asks for it.
        ("Hiatus hernia small. Antrum: erosion w/ clot.", "Hiatus hernia erosion"),
        ("Lt breast 3:00: simple cyst. Axilla clear.", "cyst"),
        ("Mass in the liver. Washout in the late phase.", "Mass"),
        # What a class is stands behind a comma with an article, or in a sentence that begins with "it".
        ("Psoriasis, a chronic skin disease with red scaly plaques", "Psoriasis"),
        ("DVT, an echogenic thrombus", "DVT"),
        ("Psoriasis. It is a red plaque on the elbow.", "Psoriasis"),
        # What is said to be stable is no part of a name, before it or behind it.
        ("Stable nodule in the left lung", "nodule"),
        ("Stable cyst left kidney. Mild hydronephrosis.", "cyst hydronephrosis"),
        ("Aneurysm stable at 4.2 cm", "Aneurysm"),
        # Alone, or asked for, the same statements keep their target; so does what is described or damaged.
        ("Psoriasis, left elbow", "Psoriasis"),
        ("Naevus on the cheek, stable", "Naevus"),
        ("Scarring stable. No effusion.", "Scarring"),
        ("Stent fractured; stricture of the duct", "Stent stricture"),
        ("Lesion flat. Papule red.", "Lesion Papule"),
        ("Enhancing core. Oedema around it.", "core Oedema"),
        ("Bone fragment displaced. Haematoma.", "Bone fragment Haematoma"),
        ("Biopsied lesion on the cheek. Scar nearby.", "lesion Scar"),
        ("Negative network centrally; globules at rim", "Negative network globules"),
        ("Sheets of atypical cells; stroma desmoplastic", "Sheets of atypical cells"),
        ("organ: liver; side: right; finding: cyst", "liver"),
        ("consolidation (RLL) vs. atelectasis", "consolidation"),
        ("No polyp was seen before; this frame shows a small polyp.", "polyp"),
    ],
)
def test_a_statement_stands_back_behind_what_another_one_finds(text: str, targets: str) -> None:
    assert " ".join(a.value for a in parse_prompt(text).attributes if a.kind == "target") == targets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Annular patch trunk, scaling edge", "shape:Annular target:patch place:trunk margin:scaling edge"),
        ("Filling defect RLL segmental art.", "target:Filling defect place:RLL"),
        ("Hard exudates sup temp arcade", "target:Hard exudates direction:sup place:sup temp arcade"),
        ("Fibroid ant wall", "target:Fibroid direction:ant place:ant wall"),
        ("Pseudopolyps multiple, L colon", "target:Pseudopolyps number:multiple side:L place:L colon"),
        ("Acute on chronic SDH, R convexity", "pathology:Acute pathology:chronic target:SDH side:R place:R convexity"),
        ("Collapse LLL, small effusion", "target:Collapse place:LLL"),
        ("Out of focus area top left. Mitosis.", "quality:Out of focus target:Mitosis"),
        ("OD. Segment the cup.", "side:OD target:cup"),
        ("Count all nuclei", "target:nuclei"),
        ("fetal head in the transthalamic plane", "target:fetal head view:transthalamic"),
    ],
)
def test_places_numbers_and_views_in_telegram_style(text: str, expected: str) -> None:
    found = [f"{a.kind}:{a.value}" for a in parse_prompt(text).attributes]
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Collection at the PJ 4 cm, gas locules", "drop:measure", "Collection at the PJ, gas locules"),
        ("Lat view. Wedge fracture of T12.", "drop:view", "Wedge fracture of T12."),
        ("Nodule, 4 mm. Right upper lobe.", "drop:place", "Nodule, 4 mm."),
        # What would read wrongly is not made: no other class is "non-mobile", no noun is "some".
        ("GB polyp 5 mm, non-mobile.", "antonym:description", ""),
        ("Crush artefact. Lymphoid aggregates x2", "neutral:quality", ""),
        ("Crush artefact. Lymphoid aggregates x2", "neutral:number", ""),
        ("Pseudopolyps multiple, L colon", "antonym:number", ""),
        # An organ in a statement of its own is no place of the target before it.
        ("Ulcer, clean based. Pylorus deformed.", "antonym:place", ""),
        ("Drusen; no fluid. Choroid thick.", "drop:place", ""),
    ],
)
def test_changes_of_a_note_read_as_notes_do(text: str, name: str, expected: str) -> None:
    table = perturb_prompt(text)
    made = table[(table["perturbation"] == name) & table["applicable"]]
    assert [*made["text"], ""][0] == expected


def test_what_a_note_tells_of_its_target_is_kept() -> None:
    found = values("CABG, wires. AP portable. Collapse LLL, small L effusion.", modality="x-ray")
    assert ("view", "AP") in found
    assert ("place", "LLL") in found
    prompt = parse_prompt("Tubes as before. Two small nodules, right upper lobe.")
    assert [(a.kind, a.value) for a in prompt.attributes if a.role == "target"][:3] == [
        ("number", "Two"),
        ("size", "small"),
        ("target", "nodules"),
    ]


@pytest.mark.parametrize(
    "text", ["tubes. " * 300, "polyp stable. " * 200, ". ; , " * 300, "old, " * 400, ", . the", ",. ,; polyp"]
)
def test_long_notes_are_read(text: str) -> None:
    assert parse_prompt(text[:2_000]).text == text[:2_000]
