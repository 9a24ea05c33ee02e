"""What `make docs` makes: notebooks executed, reports written, reference pages from the code.

Pages are in docs/, by hand. What a page cannot say by hand without going stale is made here:

    notebooks   docs/tutorials/*.ipynb, executed, as Markdown
    gallery     the reports that the notebooks and the demo have written
    commands    the command line, from its parser
    rundir      the files of a run and their columns, from a run that a notebook has made
    pictures    docs/figures/*.svg of the concepts, committed
    hooks       puts all of it into the build of MkDocs
    check       that no page of the built site asks outside, and that all links lead somewhere
"""
