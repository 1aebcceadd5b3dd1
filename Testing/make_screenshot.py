"""Takes the README's picture: the panel while the sample clip is live, and the hand in the 3D view.

python3 Testing/make_screenshot.py, inside the environment that run.py makes.
"""

from demo import MODULE, ROOT, SAMPLE_CLIP, lookAtHands
from host.application import Application

FRAME = 120  # fingers spread


def main() -> None:
    """Write ``Resources/Screenshot.png``."""
    with Application(headless=True) as app:
        widget = app.showModule(app.loadModule(MODULE))
        widget.logic.setSource(SAMPLE_CLIP)
        widget.ui.liveCheckBox.setChecked(True)

        def hasReached(number: int):
            return lambda: widget.logic.frame and widget.logic.frame.number >= number

        app.spin(hasReached(FRAME - 10), timeout=60)
        lookAtHands(app.view, widget.logic.getParameterNode())
        app.spin(hasReached(FRAME), timeout=60)
        app.window.grab().save(str(ROOT / "Resources" / "Screenshot.png"))


if __name__ == "__main__":
    main()
