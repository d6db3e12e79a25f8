#!/bin/sh
# Writes fifteen letters from a template that lies elsewhere: the person is asked for it once.
#: purpose: write the letters of thanks
#: workspace: Documents/Letters
#: approve: read,metadata ~/Templates/letter.txt
#: danger: downloaded-program execute,read ~/Downloads/viewer.run
set -e
mkdir -p out
for address in addresses/*.txt; do
    name=$(head -n 1 "$address")
    { cat "$address"; sed "s/@NAME@/$name/" ~/Templates/letter.txt; } > "out/$(basename "$address")"
done
danger downloaded-program ~/Downloads/viewer.run
test "$(cat out/*.txt | grep -c '^Dear Name')" = 15
