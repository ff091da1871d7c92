"""Types for the fields of nodes that state the range of a number beside the number.

`jsnn.runs.config` enforces them where a user's numbers enter. Inside a compiled program the same fields hold traced
arrays.
"""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AllowInfNan

LARGEST = 1e30  # float32 ends at 3.4e38, and numbers meet in products
Finite = Annotated[float, AllowInfNan(False), Ge(-LARGEST), Le(LARGEST)]
Positive = Annotated[float, AllowInfNan(False), Gt(0), Le(LARGEST)]
NonNegative = Annotated[float, AllowInfNan(False), Ge(0), Le(LARGEST)]
Probability = Annotated[float, AllowInfNan(False), Ge(0), Le(1)]
Share = Annotated[float, AllowInfNan(False), Ge(0), Lt(1)]  # a fraction below 1
Real = Annotated[float, AllowInfNan(True)]  # a bound; infinity means that there is none
Count = Annotated[int, Ge(1)]
Steps = Annotated[int, Ge(0)]
Seed = Annotated[int, Ge(0), Le(2**31 - 1)]
