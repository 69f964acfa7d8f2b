"""For every pytest run: nbval compares the outputs of cells tagged `keep_output`, and only executes the others."""

import nbval.plugin

nbval.plugin.metadata_tags["keep_output"] = "check"
