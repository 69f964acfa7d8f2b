"""The book's interactive figures: each a Python class beside a JavaScript module that computes in the browser."""
