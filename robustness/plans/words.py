"""Whose left the words of a data set mean: of the patient, or of the viewer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

Owner = Literal["patient", "viewer"]
# One word stands for sides and locations; `display` is where columns and rows run to in the patient ("LP").
Display = Annotated[str, StringConstraints(pattern="^[LRAPHFSIlraphfsi]{2}$")]
Convention = Owner | dict[Literal["side", "location", "display"], Owner | Display]
