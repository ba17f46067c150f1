"""Masks with a guarantee: calibrate one, check that the promise holds, and look at it.

    python tools/analysis_tools/conformal.py calibrate CONFIG CHECKPOINT \
        --kind threshold --risk missed --alpha 0.1 --into CHECKPOINT
    python tools/analysis_tools/conformal.py check CONFIG CHECKPOINT --alpha 0.05 0.1 0.2
    python tools/analysis_tools/conformal.py check CONFIG CHECKPOINT --corrupt blur 3
    python tools/analysis_tools/conformal.py show CONFIG CHECKPOINT --out-dir pages

The guarantee: on average over new images like those it was calibrated on, the risk is at most
alpha. docs/trust.md says what that promises, and what it does not. `calibrate` writes it into a
checkpoint or the folder of a shared model; `check` calibrates and tests on 100 random halves of the
images, or tests on corrupted ones, where the promise breaks; `show` draws what 80, 90 and 95 %
admit.
"""

from mmdiffseg.apis import conformal
from mmdiffseg.engine import command_line

if __name__ == '__main__':
    command_line.run(conformal.main, lambda: conformal.parse_args(__doc__))
