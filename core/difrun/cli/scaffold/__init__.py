"""New plugins from templates: the names that follow from one name, and the files of a package."""
