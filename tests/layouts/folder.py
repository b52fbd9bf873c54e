"""Folders of recordings for tests, from the names of their files."""


def lay_out(root, names):
    """Files with a byte each; `name@` is empty, `name->target` a link."""
    for name in names.split():
        name, _, target = name.partition("->")
        path = root / name.rstrip("@")
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        else:
            path.write_bytes(b"" if name.endswith("@") else b"x")
    return root
