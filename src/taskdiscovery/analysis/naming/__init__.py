"""Names for tasks: words whose scores, by another model, tell the sides of a task apart.

Words are chosen on some images, and measured on others; a word that is not right there is no name.
"""

from taskdiscovery.analysis.naming.asking import names_for
from taskdiscovery.analysis.naming.choosing import name_tasks
from taskdiscovery.analysis.naming.namers import Namer, namer_of
from taskdiscovery.analysis.naming.vocabulary import Vocabulary, imagenet

__all__ = ["Namer", "Vocabulary", "imagenet", "name_tasks", "namer_of", "names_for"]
