"""Types that the modules share."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

Array = np.ndarray[Any, Any]
Step = tuple[str, Optional[Array], list[int], list[int], Optional[int], dict[str, tuple[str, Array]]]
"""What a target gives for one step: dtype, raw array or None, lengths, positions, capacity or None, and by name what
else the case asks for (lse, dq …), each with its dtype."""
