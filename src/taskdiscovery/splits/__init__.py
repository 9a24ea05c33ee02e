"""Splits: cut a labelled data set along a task so that a learner fails, and show by controls that
it is the cut that does it.
"""
