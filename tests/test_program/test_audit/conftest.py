"""Where the cases of other folders lie."""

import sys
from pathlib import Path

# program_cases lies beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
