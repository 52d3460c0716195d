"""Whose left the words of a data set mean: of the patient, or of the viewer."""

from __future__ import annotations

from typing import Literal

Owner = Literal["patient", "viewer"]
# One word stands for sides and locations.
Convention = Owner | dict[Literal["side", "location"], Owner]
