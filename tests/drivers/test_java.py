"""pgjdbc."""

import glob

import pytest

from conftest import HERE, PASSWORD, USER, run


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("java")
    jar = glob.glob("/usr/share/java/postgresql.jar")[0]
    import os

    run(["javac", "-cp", jar, "-d", str(folder), HERE + "/Work.java", HERE + "/Altered.java"], {**os.environ})
    return "%s:%s:%s" % (folder, jar, ":".join(glob.glob("/usr/share/java/scram-*.jar") + glob.glob("/usr/share/java/ongres*.jar")
                                               + glob.glob("/usr/share/java/stringprep.jar") + glob.glob("/usr/share/java/saslprep.jar")))


@pytest.mark.parametrize("mode", ["extended", "extendedForPrepared", "extendedCacheEverything", "simple"])
def test_pgjdbc(pw, classes, mode):
    import os

    url = "jdbc:postgresql://%s:%d/test?preferQueryMode=%s&ApplicationName=java" % (pw.host, pw.port, mode)
    assert run(["java", "-cp", classes, "Work", url, USER, PASSWORD, "6"], {**os.environ}).stdout.strip() == "OK"


@pytest.mark.parametrize("mode", ["extended", "extendedCacheEverything"])
def test_pgjdbc_sees_schema_changes(pw, classes, mode):
    """It keeps the columns of the first Describe; after PostgreSQL's error it prepares anew by itself."""
    import os

    url = "jdbc:postgresql://%s:%d/test?preferQueryMode=%s" % (pw.host, pw.port, mode)
    assert run(["java", "-cp", classes, "Altered", url, USER, PASSWORD], {**os.environ}).stdout.strip() == "OK"
