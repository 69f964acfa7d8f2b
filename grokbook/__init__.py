"""grokbook: the small, exact and fast code under the book on "Explaining grokking through circuit efficiency"."""

__version__ = "0.1.0"
