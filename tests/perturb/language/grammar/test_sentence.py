"""What people write, read by the grammar: one test for each kind of mistake that made a wrong verdict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language.parse import parse_prompt
from tests.perturb.prompt_cases import values

INFECTION = "Unilateral pulmonary infection, one infected area, upper left lung."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Inferior Vena Cava in the center of the image, oval in shape, close to liver",
            "target:Inferior Vena Cava location:center shape:oval relation:close to liver",
        ),
        (
            "This endoscopic image contains a polyp in the top right side, which is roughly circular in shape and has "
            "some reddish texture.",
            "modality:endoscopic target:polyp location:top right shape:roughly circular colour:reddish",
        ),
        (INFECTION, "side:Unilateral target:pulmonary infection number:one place:upper left lung side:left"),
        ("An opacity is present in the breast.", "target:opacity place:breast"),
        ("5 mm polyp", "measure:5 mm target:polyp"),
        ("1.3 cm lesion", "measure:1.3 cm target:lesion"),
        ("BI-RADS 4 mass", "measure:BI-RADS 4 target:mass"),
        ("grade 3 tumor", "measure:grade 3 target:tumor"),
        ("cyst in segment 6", "target:cyst place:segment 6"),
        ("thrombus in the left atrium", "target:thrombus place:left atrium"),
        ("stone in the right kidney", "target:stone side:right place:right kidney"),
        ("instrument near the polyp", "target:instrument relation:near the polyp"),
        ("tumor adjacent to the duodenum", "target:tumor relation:adjacent to the duodenum"),
        ("optic disc and optic cup", "target:optic disc target:optic cup"),
        ("white matter lesions", "target:white matter lesions"),
        ("OD macular hole", "side:OD target:macular hole"),
        ("dextral kidney", "side:dextral target:kidney"),
        ("no evidence of metastases in the spine", "negation:no evidence of target:metastases place:spine"),
        ("mass suspicious for malignancy", "target:mass certainty:suspicious for pathology:malignancy"),
        ("IMPRESSION: 7 mm stone in the left ureter.", "measure:7 mm target:stone side:left place:left ureter"),
        ("Segment the liver, not the spleen.", "target:liver negation:not"),
        ("Bite wounds x3", "target:Bite wounds number:x3"),
        ("glomeruli x4", "target:glomeruli measure:x4"),
        ("mass, ACR density c", "target:mass measure:ACR density c"),
        ("Qp:Qs 2.1, secundum ASD", "measure:Qp:Qs 2.1 target:secundum ASD"),
        ("hydronephrosis L>R", "target:hydronephrosis"),
        ("gray matter in one region", "target:gray matter number:one"),
        ("Suture line dehisced over 3 cm", "target:Suture line pathology:dehisced measure:3 cm"),
        ("Hernia reduced, mesh intact", "target:Hernia"),
        ("Does the lesion cross the midline?", "target:lesion relation:cross the midline"),
        ("two of the five plaques enhance; segment those", "number:two target:plaques"),
        ("No interval change in the para-aortic nodes", "target:para-aortic nodes"),
        ("polyps in the sigmoid, left in situ", "target:polyps place:sigmoid"),
        ("streaks at right angles", "target:streaks"),
        ("MR jet hugging the septum", "target:MR jet relation:hugging the septum"),
        ("varices, 3 columns", "target:varices"),
        ("Thyroid: left lobe, solid nodule", "place:left lobe side:left texture:solid target:nodule place:Thyroid"),
        ("Splenule, 14 x 12", "target:Splenule measure:14 x 12"),
        ("Withdrawing from the caecum, a flat polyp on the fold", "shape:flat target:polyp place:fold"),
        ("Status post polypectomy, residual adenoma", "pathology:residual target:adenoma"),
        ("Indication: weight loss. Mass in the pancreas.", "target:Mass place:pancreas"),
        ("Known cirrhosis; nodule in segment 6", "target:nodule place:segment 6"),
        ("Known liver lesion, segment VII", "certainty:Known target:liver lesion place:segment VII"),
        ("Post-op haematoma, spleen", "target:Post-op haematoma place:spleen"),
        ("History of melanoma, left forearm", "target:melanoma side:left place:left forearm"),
        ("Cough and fever; right lower zone consolidation", "side:right place:right lower zone target:consolidation"),
        ("fall in signal", "target:fall place:signal"),
        ("62F with hypodense liver lesion", "age:62 sex:F signal:hypodense target:liver lesion"),
        ("12F catheter in the renal pelvis", "target:12F catheter place:renal pelvis"),
        ("Crypts look distorted", "target:Crypts shape:distorted"),
        ("Look at the liver lesion", "target:liver lesion"),
        ("nevus, edges notched", "target:nevus margin:edges notched"),
        ("cyst, thin walled", "target:cyst texture:thin walled"),
        ("normal appearing left kidney", "pathology:normal appearing side:left target:kidney"),
        ("cystic looking mass", "texture:cystic looking target:mass"),
        ("kidney appearing enlarged", "target:kidney size:enlarged"),
        ("a pedunculated polyp came into view", "shape:pedunculated target:polyp"),
        ("polyp went out of view", "target:polyp"),
        ("Liver not enlarged, cyst in the spleen", "negation:not target:cyst place:spleen"),
        ("kidney not dilated, stented or scarred", "target:kidney negation:not pathology:stented pathology:scarred"),
        ("no bleeding, two flat lesions", "negation:no number:two shape:flat target:lesions"),
        (
            "the stone seen last week is no longer visible; hydronephrosis persists on the right",
            "negation:no longer visible target:hydronephrosis side:right",
        ),
        ("the tumour is no longer visible", "target:tumour negation:no longer visible"),
        ("the lesion grew", "target:lesion"),
        ("Barrett's segment without nodules", "target:Barrett's segment negation:without"),
        ("thick enhancing rim", "size:thick signal:enhancing target:rim"),
        ("low signal focus in the lunate", "signal:low signal target:focus place:lunate"),
        ("low signal in the cortex", "signal:low target:low signal place:cortex"),
        ("lg mass RLL c/w carcinoma", "size:lg target:mass place:RLL certainty:c/w pathology:carcinoma"),
        ("nodule, taller than wide", "target:nodule shape:taller than wide"),
        ("Ulcer gastric antrum", "target:Ulcer place:gastric antrum"),
        ("Mass breast R", "target:Mass place:breast side:R"),
        ("lymph node cortex", "target:lymph node cortex"),
        ("aneurysm neck", "target:aneurysm neck"),
        ("cyst R ovary, simple", "target:cyst side:R place:R ovary texture:simple"),
        ("SDH L convexity", "target:SDH side:L place:L convexity"),
        ("CBD stone distal", "target:CBD stone direction:distal"),
        ("fibroid, ant wall", "target:fibroid direction:ant place:ant wall"),
        ("BCC nose, arborising vessels", "target:BCC place:nose"),
        ("Tear, extending proximally", "target:Tear relation:extending proximally direction:proximally"),
        ("serratus anterior", "target:serratus anterior"),
        ("Caecum reached. Sessile polyp in the sigmoid.", "shape:Sessile target:polyp place:sigmoid"),
        ("Surveillance colonoscopy, flat adenoma", "modality:colonoscopy shape:flat target:adenoma"),
        ("Diabetic, foot ulcer, infected", "target:foot ulcer pathology:infected"),
        ("post-biopsy haematoma in the breast", "target:post-biopsy haematoma place:breast"),
        ("Vessels attenuated, disc pale", "target:Vessels size:attenuated"),
        ("The optic nerve is thickened and enhances", "target:optic nerve size:thickened"),
        ("Nuclei enlarged and crowded", "target:Nuclei size:enlarged"),
        ("Tumour invades muscularis propria", "target:Tumour relation:invades muscularis propria"),
        ("Nodule has grown since 2021", "target:Nodule"),
        ("a clean based ulcer", "texture:clean based target:ulcer"),
        ("mass, hypoechoic, left lobe", "target:mass signal:hypoechoic side:left place:left lobe"),
        ("small, right upper lobe nodule", "size:small side:right place:right upper lobe target:nodule"),
        ("enlarged, left kidney", "size:enlarged side:left target:kidney"),
        ("Patient fell; haemothorax on left", "target:haemothorax side:left"),
        ("Lesion with low ADC", "target:Lesion signal:low ADC"),
        ("Foveal contour lost", "target:Foveal contour"),
        ("Child, 4 y, displaced fracture", "age:Child age:4 y pathology:displaced target:fracture"),
        ("Pulling back, an angiodysplasia in the caecum", "target:angiodysplasia place:caecum"),
        ("Known glaucoma; cup large", "target:cup size:large"),
        ("Previous ACL repair, graft torn", "target:graft pathology:torn"),
        ("The lesion shows restricted diffusion", "target:lesion signal:restricted diffusion"),
        ("Low T1 signal area in the femoral head", "signal:Low T1 signal target:area place:femoral head"),
        ("hydronephrosis, worse on R", "target:hydronephrosis side:R"),
        ("The mole has changed colour; edges ragged", "target:mole margin:edges ragged"),
        ("Type 2 DM, ulcer on the heel", "target:ulcer place:heel"),
        ("ERM wrinkling inner retina", "target:ERM relation:wrinkling inner retina"),
        ("Lesion bleeds easily", "target:Lesion"),
        ("Fat containing lesion", "texture:Fat containing target:lesion"),
        ("Cyst containing debris", "target:debris"),
        ("Post CABG, anterior wall thinned", "direction:anterior target:wall size:thinned"),
        ("Woman with MS, ovoid lesion", "sex:Woman shape:ovoid target:lesion"),
        ("Follow up wet AMD: PED 180 microns", "target:PED measure:180 microns"),
        ("reported nodule, right lung", "target:nodule side:right place:right lung"),
        ("Lung biopsy needle, tip in the nodule", "target:Lung biopsy needle place:nodule"),
        ("background diabetic retinopathy, dot haemorrhages", "target:background diabetic retinopathy"),
        ("Insertion to caecum. Flat lesion in the rectum.", "shape:Flat target:lesion place:rectum"),
        ("Haemorrhoids grade 2", "target:Haemorrhoids measure:grade 2"),
        ("Effusion blunts costophrenic angle", "target:Effusion relation:blunts costophrenic angle"),
        (
            "Mass, intermediate T2 signal, left parotid",
            "target:Mass signal:intermediate T2 signal side:left place:left parotid",
        ),
        ("Post cataract surgery, subretinal fluid", "target:subretinal fluid"),
        ("Ulcer, punched out", "target:Ulcer margin:punched out"),
        ("PMH melanoma. Nodule on the scalp.", "target:Nodule place:scalp"),
        ("Clinical details: murmur. Mitral leaflets thickened", "target:Mitral leaflets size:thickened"),
        ("Tumour crosses midline", "target:Tumour relation:crosses midline"),
        ("tumour borders", "target:tumour borders"),
        ("The node shows loss of its fatty hilum", "target:node"),
        ("The liver shows calcification", "target:calcification"),
        (
            "Vessels washed out in the superior arcade",
            "target:Vessels signal:washed out direction:superior place:superior arcade",
        ),
        ("Lesion growing over 6 months", "target:Lesion measure:6 months"),
        ("plaque left frontal white matter", "target:plaque side:left place:left frontal white matter"),
        ("Lesion, border blurred", "target:Lesion margin:border blurred"),
    ],
)
def test_what_clinicians_write_is_read(text: str, expected: str) -> None:
    found = sorted(f"{kind}:{value}" for kind, value in values(text))
    assert found == sorted(_split(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What is normal or denied is not asked for beside a finding.
        ("Kidneys normal. Spleen enlarged.", "target:Spleen size:enlarged"),
        ("Adrenals unremarkable; left renal mass", "side:left target:renal mass"),
        ("Pancreas without mass; the spleen contains a cyst", "negation:without target:cyst"),
        ("Gallbladder normal, common bile duct dilated", "target:common bile duct size:dilated"),
        ("A cyst in the left kidney, liver and spleen normal", "target:cyst side:left place:left kidney"),
        ("The gallbladder contains a stone; the bile ducts are not dilated.", "target:stone negation:not"),
        ("CT: lungs clear. Rib fracture.", "modality:CT target:Rib fracture"),
        ("The stomach was normal, the duodenum showed two ulcers.", "number:two target:ulcers"),
        ("Kidneys show no hydronephrosis; in the bladder there is a stone.", "negation:no place:bladder target:stone"),
        ("The right tube is patent, the left one is dilated.", "target:tube side:left size:dilated"),
        ("Healthy gums, one carious tooth", "number:one pathology:carious target:tooth"),
        ("Patent foramen ovale. Normal ventricles.", "target:Patent foramen ovale"),
        ("Aortic valve opens well; vegetation on the mitral valve", "target:vegetation place:mitral valve"),
        ("The right kidney is normal while the left shows a duplex system.", "side:left target:duplex system"),
        ("Ureter dilated, bladder normal, kidneys normal", "target:Ureter size:dilated"),
        ("Liver normal. In the spleen there is an infarct.", "place:spleen target:infarct"),
        ("CT shows no free fluid, but a small mass.", "modality:CT negation:no size:small target:mass"),
        ("Lungs clear without effusion. Rib fracture.", "negation:without target:Rib fracture"),
        ("Normal sized heart. Rib fracture.", "target:Rib fracture"),
        ("Neither ventricle is enlarged. A shunt tip lies above.", "negation:Neither target:shunt tip"),
        # Alone, it is.
        ("The left kidney is normal.", "side:left target:kidney pathology:normal"),
        ("Normal liver and spleen.", "pathology:Normal target:liver target:spleen"),
        ("Lungs clear. Axial CT.", "target:Lungs view:Axial modality:CT"),
        # A denial before "but", and an exception.
        ("no ulcers but two small erosions", "negation:no number:two size:small target:erosions"),
        ("not a polyp, rather a fold", "negation:not target:fold"),
        ("apart from two cysts the liver is normal", "negation:apart from number:two target:cysts"),
        ("Mass in the right breast, none in the left", "target:Mass side:right place:right breast negation:none"),
        ("Not a hernia: a lipoma of the cord", "negation:Not target:lipoma place:cord"),
        ("Homogeneous thyroid save for a single nodule", "negation:save for number:single target:nodule"),
        ("Segment all nuclei except the mitotic ones", "target:nuclei negation:except"),
        ("no mass, pleural effusion", "number:no target:mass"),
        ("Mucosa pink apart from a whitish plaque", "negation:apart from colour:whitish target:plaque"),
        ("Apart from a tiny cyst, the liver is normal.", "negation:Apart from size:tiny target:cyst"),
        ("Liver normal barring a small cyst", "negation:barring size:small target:cyst"),
        ("the liver except for the caudate lobe", "target:liver negation:except for"),
        ("Rather than the left lung, the right one", "negation:Rather than target:lung side:right"),
        ("Kidney without stones, cysts or hydronephrosis", "target:Kidney negation:without"),
        # A place that opens the sentence.
        ("In the caecum, a polyp is seen.", "place:caecum target:polyp"),
        ("In this image, the liver", "target:liver"),
        # A picture that shows nothing, and a comparison.
        ("no section contains glomeruli", "negation:no target:glomeruli"),
        ("none of the sections contains a germinal centre", "negation:none target:germinal centre"),
        ("None of the kidneys contains a stone.", "negation:None target:stone"),
        ("no B-scan shows drusen", "negation:no modality:B-scan target:drusen"),
        ("none of the slices shows the aorta", "negation:none target:aorta"),
        ("left kidney, smaller than the right", "side:left target:kidney size:smaller"),
        ("right dome higher than the left", "side:right target:dome"),
        ("effusions, the left more than the right", "target:effusions side:left side:right"),
        ("two cysts side by side", "number:two target:cysts"),
    ],
)
def test_what_is_said_of_other_things_is_not_asked_for(text: str, expected: str) -> None:
    assert [f"{kind}:{value}" for kind, value in values(text)] == _split(expected)


def _split(expected: str) -> list[str]:
    found: list[str] = []
    for word in expected.split(" "):
        if ":" in word and word.partition(":")[0].isalpha():
            found.append(word)
        else:
            found[-1] += f" {word}"
    return found


def test_each_of_two_things_has_its_own_words() -> None:
    text = "one small polyp in the top left and one large polyp in the bottom right"
    found = values(text)
    assert [v for k, v in found if k == "location"] == ["top left", "bottom right"]
    assert [v for k, v in found if k == "size"] == ["small", "large"]
    assert [v for k, v in found if k == "target"] == ["polyp", "polyp"]


def test_a_side_of_a_landmark_is_not_the_targets() -> None:
    prompt = parse_prompt("mass abutting the left adrenal gland")
    side = prompt.get("side")
    assert side is not None
    assert side.role == "landmark"
    assert prompt.replace("side", "right").text == "mass abutting the right adrenal gland"
    relation = prompt.replace("side", "right").get("relation")
    assert relation is not None
    assert relation.value == "abutting the right adrenal gland"


def test_the_stated_target_wins_over_the_words_around_it() -> None:
    for text in (INFECTION, "Upper left lung, pulmonary infection."):
        targets = [v for k, v in values(text, target="pulmonary infection") if k == "target"]
        assert targets == ["pulmonary infection"]


def test_on_the_left_is_the_patients_side_in_radiology_and_not_stated_in_a_photograph() -> None:
    assert ("side", "left") in values("nodule on the left", modality="CT")
    assert "side" not in dict(values("wound on the left", modality="photograph"))
    assert ("location", "left") in values("nodule on the left of the image", modality="CT")


def test_dark_is_a_colour_where_things_are_seen_in_their_own_colours() -> None:
    assert ("colour", "dark") in values("dark mole on the forearm")
    assert ("colour", "dark") in values("dark spot", modality="dermoscopy")
    assert ("signal", "dark") in values("dark spot", modality="MRI")


WORDS = st.sampled_from(
    "polyp mass the a of in on with without no left right upper lobe liver 5 mm grade 3 between and , . : ( ) which is"
    " are there shows segment please not near close to adjacent to suspicious for T2 CT axial one two small red"
    " irregular margins image 7 o'clock L4/L5 has lying".split(" ")
)


@given(st.lists(WORDS, max_size=25))
@settings(max_examples=200, deadline=None)
def test_no_order_of_clinical_words_breaks_the_grammar(words: list[str]) -> None:
    text = " ".join(words)
    assert all(text[a.start : a.stop] == a.value and a.value.strip() for a in parse_prompt(text).attributes)
