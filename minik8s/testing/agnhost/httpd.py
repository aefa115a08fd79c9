"""A web server on port 80 with one page, in the place of httpd and nginx: the tests move the page away and back.

With an argument it is nautilus or kitten, whose data.json names the picture that the page shows.
"""

from __future__ import annotations

import json
import os
import sys

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import inside
from minik8s.testing.agnhost.web import Answer, Request

HTDOCS = "/usr/local/apache2/htdocs"
PAGE = "<html><body><h1>It works!</h1></body></html>\n"


def main() -> None:
    """Serves until it is killed."""
    root = os.environ.get("MINIK8S_ROOT", "").rstrip("/") + HTDOCS
    os.makedirs(root, exist_ok=True)
    with open(f"{root}/index.html", "w") as file:
        file.write(PAGE)
    if pictures := sys.argv[1:]:
        with open(f"{root}/data.json", "w") as file:
            json.dump({"image": pictures[0]}, file)

    def page(request: Request) -> Answer:
        path = inside(HTDOCS + os.path.normpath("/" + request.path.rstrip("/")))
        try:
            with open(f"{path}/index.html" if os.path.isdir(path) else path, "rb") as found:
                return 200, found.read(), {"Content-Type": "text/html"}
        except OSError:
            return 404, "<html><body><h1>Not Found</h1></body></html>\n", {"Content-Type": "text/html"}

    web.forever(web.serve(lambda path: page, 80))
