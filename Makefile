# Two commands matter: `make book` and `make test`. The others are conveniences. All they need is python3, git and make.

PYTHON ?= python3
SCALE ?= live
JOBS ?= 2
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: book test fresh pdf lint format links bench pictures address pins clean
.DEFAULT_GOAL := book

book: $(INSTALLED)  ## execute the chapters, build the HTML, print where it is; SCALE=paper for the paper's own sizes
	$(BIN)/python book/build.py --scale $(SCALE) --jobs $(JOBS)

test: $(INSTALLED)  ## the package, kept outputs of chapters (nbval), rendered pages; one worker more than JOBS: tests often wait
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m pytest -n $$(($(JOBS) + 1)) --durations 20

fresh: $(INSTALLED)  ## every chapter in a bare runtime that holds newer torch and numpy, with the wheel alone, as in Colab
	$(BIN)/python tests/fresh.py --jobs $(JOBS)

pdf: book  ## the whole book as _build/grokbook.pdf (needs Chromium)
	$(BIN)/python book/pdf.py

lint: $(INSTALLED)  ## style, types, spelling, stray outputs
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/nbstripout --keep-id --verify book/*.ipynb

format: $(INSTALLED)  ## mend what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/nbstripout --keep-id book/*.ipynb

links: book  ## ask every external link of the book whether it still answers (needs the network)
	$(BIN)/jupyter-book build _build/source --config _config.yml --toc _toc.yml --path-output . --builder linkcheck

bench: $(INSTALLED)  ## our speed against the peers and the floor, in an environment of its own (TransformerLens needs NumPy 1)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet $$(grep '^torch==' constraints.txt) --editable '.[bench]'
	.venv-bench/bin/python -m benchmarks

pictures: book  ## the README's pictures, taken of the built pages (needs Chromium)
	$(BIN)/python book/pictures.py intro#the-puzzle-in-one-picture page docs/book.png
	$(BIN)/python book/pictures.py 05-three-ingredients .gb docs/widget.png

address: $(INSTALLED)  ## make address URL=https://github.com/OWNER/NAME: move the book to another public address
	$(BIN)/python book/address.py $(URL)

pins:  ## write constraints.txt anew from a clean environment; PYTHON is to be the oldest one the README promises
	rm -rf _build/pins && $(PYTHON) -m venv _build/pins
	_build/pins/bin/pip install --quiet '.[book,test,cluster]' torch==$$(sed -n 's/^torch==//p' constraints.txt)
	sed -n '/^#/p' constraints.txt > _build/pins/head
	_build/pins/bin/pip freeze --exclude grokbook | sed 's/+.*//' | sort -f | cat _build/pins/head - > constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,test,cluster]'
	touch $@

clean:  ## remove everything built, but not the environment
	rm -rf _build
