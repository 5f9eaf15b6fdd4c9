"""The script that builds an engine on a device that cannot be reached from here. It needs only a POSIX shell."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.files import atomic_path

_SUFFIX, _SOURCE_SUFFIX = ".build.sh", ".tensorrt.onnx"
_TEMPLATE = r"""#!/bin/sh
# Builds a TensorRT engine from the ONNX file beside this script, on the device that will run it.
# Usage: sh THIS_SCRIPT [TRTEXEC]
set -u
trtexec=${{1:-}}
case "$trtexec" in
/* | "") ;;
*/*) trtexec=$PWD/$trtexec ;;
esac
cd "$(dirname "$0")" || exit 2
onnx={onnx}
engine={engine}
script={script}
log={log}

fail() {{
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}}

[ -s "$onnx" ] || fail 2 "$onnx is not beside this script: copy it too"
if command -v sha256sum >/dev/null 2>&1; then
    found=$(sha256sum <"$onnx")
    [ "${{found%% *}}" = {sha256} ] || fail 2 "$onnx is not the file that this script was written for"
fi

if [ -z "$trtexec" ]; then
    for place in trtexec /usr/src/tensorrt/bin/trtexec; do
        if command -v "$place" >/dev/null 2>&1; then
            trtexec=$place
            break
        fi
    done
fi
command -v "${{trtexec:-trtexec}}" >/dev/null 2>&1 ||
    fail 3 "there is no trtexec here: it comes with TensorRT; give its path: sh $script /path/of/trtexec"

help=$("$trtexec" --help 2>&1)
knows() {{
    printf '%s\n' "$help" | grep -Eq "^[[:blank:]]{{1,4}}$1([=,[:blank:]]|\$)"
}}
knows --saveEngine || fail 3 "$trtexec --help lists no options of a usable trtexec"

folder=$(mktemp -d ./.natdeploy-build-XXXXXX) || exit 2
temporary=$folder/$engine
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

set -- "--onnx=$onnx" "--saveEngine=$temporary"
{precision}if knows --memPoolSize; then
    set -- "$@" --memPoolSize=workspace:{workspace}
elif knows --workspace; then
    set -- "$@" --workspace={workspace}
fi
if knows --skipInference; then
    set -- "$@" --skipInference
elif knows --buildOnly; then
    set -- "$@" --buildOnly
fi
if knows --profilingVerbosity; then
    set -- "$@" --profilingVerbosity=detailed
fi

printf '%s\n' "building $engine, which takes minutes: $trtexec $*" >&2
code=0
"$trtexec" "$@" >"$log" 2>&1 || code=$?
# Some versions pass in spite of an error, and some exit with 0.
verdict=$(grep -E '^&&&& (PASSED|FAILED) TensorRT' "$log" | tail -n 1)
case "$verdict" in
"&&&& PASSED "*) ;;
*) [ "$code" -ne 0 ] || code=1 ;;
esac
if grep -Eq '^\[[^]]*\] (\[TRT\] )?\[[EF]\]' "$log"; then
    [ "$code" -ne 0 ] || code=1
fi
if [ "$code" -eq 0 ] && [ ! -s "$temporary" ]; then
    code=1
fi
if [ "$code" -ne 0 ]; then
    grep -E '\[[EF]\]' "$log" | head -n 3 >&2
    [ "$code" -ne 137 ] || echo "it was killed, most likely for lack of memory: close other programs" >&2
    fail 1 "trtexec failed; see $log"
fi
mv -f "$temporary" "$engine" || exit 2
printf '%s\n' "$engine"
"""
_FULL = """if knows --noTF32; then
    set -- "$@" --noTF32
fi
"""
_HALF = """if knows --fp16; then
    set -- "$@" --fp16
else
    fail 2 "this trtexec has no --fp16: from TensorRT 11 on, an engine has the precision of the ONNX file"
fi
"""
# Since version 11 the ONNX file alone decides that the engine is int8. Before, trtexec must allow it too.
_INT8 = """if knows --int8; then
    set -- "$@" --int8
fi
"""
_OPTIONS = {"fp32": _FULL, "fp16": _HALF, "int8": _INT8}


def source_path(engine: Path) -> Path:
    """Return the path of the ONNX file from which an engine is built: `<name>.tensorrt.onnx` beside it."""
    return engine.with_suffix(_SOURCE_SUFFIX)


def script_path(onnx: Path) -> Path:
    """Return the path of the script of an ONNX file: `<name>.build.sh` beside it."""
    return engine_path(onnx).with_suffix(_SUFFIX)


def engine_path(onnx: Path) -> Path:
    """Return the path of the engine that the script builds: `<name>.engine` beside the ONNX file."""
    return onnx.with_name(onnx.name.removesuffix(_SOURCE_SUFFIX).removesuffix(".onnx") + ".engine")


def write_build_script(onnx: Path, *, precision: str, workspace_mib: int) -> Path:
    """Write the script that builds `<name>.engine` from an ONNX file, and return its path.

    The script uses the options that the trtexec of the device lists. It writes the engine under a temporary name and
    renames it only if the build passed.

    Raises:
        InputError: The name of the file begins with a dash.
        OutputError: The script cannot be written.
    """
    if onnx.name.startswith("-"):
        msg = f"{onnx}: programs on the device would take a name that begins with '-' for an option"
        raise InputError(msg, hint="choose another name with --output")
    path = script_path(onnx)
    names = {
        "onnx": onnx.name,
        "engine": engine_path(onnx).name,
        "script": path.name,
        "log": engine_path(onnx).with_suffix(".build.log").name,
    }
    text = _TEMPLATE.format(
        **{key: shlex.quote(name) for key, name in names.items()},
        sha256=hashlib.sha256(onnx.read_bytes()).hexdigest(),
        precision=_OPTIONS[precision],
        workspace=workspace_mib,
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
    return path
