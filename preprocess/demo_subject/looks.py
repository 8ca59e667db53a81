"""The people: three faces, haircuts, wardrobes, lenses.

Nobody is what the stages take for granted: no lens of 1200 pixels, no iris of 11.7 mm.
"""

from preprocess.demo_subject.hair import Haircut
from preprocess.demo_subject.paint import Paint
from preprocess.demo_subject.person import Look

LONG = Haircut(line=(44, 35, 20, 14, 30, -50, -62), thickness=0.2, edge=9)
SHORT = Haircut(line=(46, 40, 26, 2, 38, -8, -36), thickness=0.12, edge=9)
BOB = Haircut(line=(40, 34, 18, 12, 30, -32, -42), thickness=0.2, edge=9)

LOOKS = {
    "anna": Look(
        sliders={
            "macrodetails/caucasian-female-young": 1,
            "head/head-oval": 0.4,
            "mouth/mouth-scale-horiz-incr": 0.3,
            "mouth/mouth-angles-up": 0.3,
            "asym/asym-mouth-1-l": 0.3,
            "eyes/l-eye-scale-incr": 0.25,
            "eyes/r-eye-scale-incr": 0.25,
        },
        haircut=LONG,
        paint=Paint(
            skin=(226, 182, 156),
            lips=(192, 98, 98),
            brows=(104, 70, 48),
            brow_weight=0.85,
            iris=(84, 116, 92),
            hair=(96, 58, 34),
            cloth=(44, 98, 92),
            collar=(216, 214, 204),
        ),
        strands=3,
        iris=0.115,
        focal=1140.0,
        distance=9.3,
    ),
    "ben": Look(
        sliders={
            "macrodetails/african-male-young": 0.8,
            "macrodetails/caucasian-male-young": 0.2,
            "head/head-rectangular": 0.3,
            "nose/nose-scale-horiz-decr": 0.3,
        },
        haircut=SHORT,
        paint=Paint(
            skin=(140, 92, 66),
            lips=(136, 78, 70),
            brows=(32, 24, 20),
            iris=(62, 40, 26),
            hair=(30, 24, 22),
            cloth=(196, 192, 184),
            collar=(62, 72, 120),
            stubble=0.5,
        ),
        strands=8,
        iris=0.119,
        focal=1290.0,
        distance=9.8,
    ),
    "mei": Look(
        sliders={
            "macrodetails/asian-female-young": 0.7,
            "macrodetails/asian-female-old": 0.3,
            "head/head-round": 0.4,
        },
        haircut=BOB,
        paint=Paint(
            skin=(230, 192, 162),
            lips=(194, 100, 98),
            brows=(44, 34, 30),
            brow_weight=0.9,
            iris=(52, 36, 26),
            hair=(34, 29, 29),
            cloth=(140, 44, 56),
            collar=(214, 204, 190),
            neckline=(5.5, 6.1),
            neckline_v=0.35,
        ),
        strands=5,
        iris=0.121,
        focal=1050.0,
        distance=8.6,
    ),
}
