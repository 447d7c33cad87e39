#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The files of deploy/kubernetes against the schemas of their kinds.  CRDS=FOLDER: the files of custom
# resource definitions there, PodMonitor's or InferencePool's, are used before ours.  What the manifests
# say of each other and of the daemon is y-scale.sh's part.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
npm_packages node-kubernetes kubernetes-models@5.1.0 @kubernetes-models/prometheus-operator@6.0.0 \
    @kubernetes-models/gateway-api@2.0.0 ajv@8.20.0 yaml@2.9.1 typescript@5.9.3
bring y-kubernetes.mjs
compile() # FILE.ts: unknown fields are errors
{
    mkdir -p "$packages/types"
    cp "$1" "$packages/types/check.ts" || broken "cannot copy $1"
    node "$packages/node_modules/typescript/bin/tsc" --noEmit --strict --skipLibCheck --target es2022 \
        --module nodenext "$packages/types/check.ts" >"$work/tsc"
}
node "$here/y-kubernetes.mjs" "$top/deploy/kubernetes" "$work/types.ts" ${CRDS:+"$CRDS"} ||
    fail "y-kubernetes.mjs exited with $?"
checks=$((checks + 1))
compile "$work/types.ts" || fail "unknown fields: $(cat "$work/tsc")"
checks=$((checks + 1))
sed 's/"terminationGracePeriodSeconds"/"terminationGraceSeconds"/' "$work/types.ts" >"$work/fault.ts"
compile "$work/fault.ts" && fail "an unknown field passes"
has "an unknown field" "$(cat "$work/tsc")" "terminationGraceSeconds.* does not exist"
