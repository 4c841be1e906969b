"""The newest revision is known without the migrations being loaded."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from wiser_fhir.db.migrate import newest
from wiser_fhir.resources import resource_path


def test_the_newest_file_is_the_head_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(Config(str(resource_path("alembic.ini"))))
    assert scripts.get_heads() == [newest()]
