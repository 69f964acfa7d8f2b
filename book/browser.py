"""The Chromium on this machine that opens the built pages: for tests, the PDF and the README's pictures."""

import shutil

# The shell is the same engine without a window around it; a page costs it half the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = (
    f"No Chromium found under the names {', '.join(NAMES)}. "
    "Install it with your system's packages, for instance `apt-get install chromium`."
)
