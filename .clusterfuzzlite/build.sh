#!/bin/bash -eu
# ClusterFuzzLite's and OSS-Fuzz's conventions: compilers and flags come in CC, CXX, CFLAGS and CXXFLAGS (with the
# sanitizer and the coverage), the engine in LIB_FUZZING_ENGINE; fuzzers and seed corpora go to OUT. One fuzzer for
# each target of ATTNFUZZ_TARGETS, under its own name: the engine starts it without arguments.
: "${SRC:=$(cd "$(dirname "$0")/.." && pwd)/..}" "${WORK:=/tmp/attnfuzz-work}"
: "${ATTNFUZZ_TARGETS:=cpu:naive cpu:tiled cpu:split-kv cpu:dense-cache cpu:paged-cache cpu:ring-cache}"
source=${ATTNFUZZ_CHECKOUT:-$SRC/attnfuzz}

cmake -S "$source" -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DATTNFUZZ_LIBFUZZER=ON -DATTNFUZZ_NATIVE=OFF \
  -DATTNFUZZ_FUZZING_ENGINE="$LIB_FUZZING_ENGINE" > /dev/null
ninja -C "$WORK/build" attnfuzz_target_fuzzer attnfuzz_case_fuzzer attnfuzz_report_fuzzer attnfuzz_outcome_fuzzer

cp "$WORK"/build/attnfuzz_{case,report,outcome}_fuzzer "$OUT"
mkdir -p "$OUT/lib"
ldd "$WORK/build/attnfuzz_target_fuzzer" | awk '/=> \/.*(libfmt|libsqlite3|libpq|libspdlog)/ {print $3}' |
  xargs -r cp -L -t "$OUT/lib"
seeds=$(mktemp -d)
find "$source/corpus" -name '*.case.json' -exec cp -t "$seeds" {} +
(cd "$seeds" && python3 -m zipfile -c "$OUT/attnfuzz_case_fuzzer_seed_corpus.zip" ./*)
for target in $ATTNFUZZ_TARGETS; do
  name=attnfuzz_${target//[:.-]/_}
  cp "$WORK/build/attnfuzz_target_fuzzer" "$OUT/$name.bin"
  printf '#!/bin/sh\n# %s\nhere=$(dirname "$0")\nLD_LIBRARY_PATH="$here/lib" ATTNFUZZ_TARGET=%s exec "$here/%s.bin" -max_len=65536 "$@"\n' \
    LLVMFuzzerTestOneInput "$target" "$name" > "$OUT/$name"
  chmod +x "$OUT/$name"
  cp "$OUT/attnfuzz_case_fuzzer_seed_corpus.zip" "$OUT/${name}_seed_corpus.zip"
done
rm -r "$seeds"
