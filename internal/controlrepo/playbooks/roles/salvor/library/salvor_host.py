#!/usr/bin/python
# Written by salvor: `salvor ansible --init` replaces this role with the one of its version.
# It starts `salvord converge` on the host, and says what that answers as Ansible has it.

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: salvor_host
short_description: Prepare a host by its salvord
description:
  - Prepares the host with the resources of C(salvor apply), and leaves its stacks alone.
  - It has a check mode, and its diff is the list of changes with their causes.
options:
  request:
    description: What the host is to be, from the inventory of salvor. It is encoded (base64).
    type: str
    required: true
  only:
    description: The areas to prepare, none for all that Salvor takes care of on the host.
    type: list
    elements: str
    default: []
  look:
    description: Only say which salvord the host has.
    type: bool
    default: false
  program:
    description: Where salvord is.
    type: path
    default: /usr/local/bin/salvord
"""

RETURN = r"""
resources:
  description: What was not as it should be; each has id, state, action, cause, and a text if it failed.
  type: list
  returned: always
left:
  description: Areas that only C(salvor apply) takes care of, with the reason.
  type: list
  returned: always
"""

import base64
import json
import os
import platform

from ansible.module_utils.basic import AnsibleModule

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as salvor names them
OTHER_PROTOCOL = 64


def ask(module, request, check):
    """Returns what salvord answers, and whether it is too old for the request."""
    argv = [module.params["program"], "converge"]
    for area in module.params["only"]:
        argv += ["--only", area]
    if check:
        argv.append("--check")
    code, out, err = module.run_command(argv, data=request, binary_data=True)
    try:
        answer = json.loads(out)
    except ValueError:
        if "unknown verb" in err:
            return None, True
        last = (err.strip() or "it ended with %d and no answer" % code).splitlines()[-1]
        module.fail_json(msg="salvord converge: " + last)
    error = answer.get("error") or {}
    older = answer["schema"] < json.loads(request)["schema"]
    return answer, bool(answer.get("outdated")) or error.get("code") == OTHER_PROTOCOL and older


def lines(answer):
    """Returns the changes as `salvor plan` shows them."""
    said = []
    for r in answer["resources"]:
        if r["state"] == "right":
            continue
        said.append("%s %s: %s" % (r["action"], r["id"], r["cause"]))
        if r.get("destroys"):
            said.append("  may lose: " + r["destroys"])
    return "".join(line + "\n" for line in said)


def failure(error):
    text = error["text"]
    if error["code"] == OTHER_PROTOCOL:
        text = "the host runs salvord %s, which is newer: update salvor on your computer" % text
    if error.get("hint"):
        text += "\nhint: " + error["hint"]
    return text


def look(module, request, arch):
    """Says which salvord is there: none, an older one, this one, or a newer one."""
    if not os.path.exists(module.params["program"]):
        module.exit_json(changed=False, arch=arch, newer=False)
    answer, outdated = ask(module, request, True)
    own = json.loads(request)["salvord"]
    newer = not outdated and answer["salvord"] != own
    module.exit_json(changed=False, arch=arch, newer=newer)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            request=dict(type="str", required=True, no_log=False),
            only=dict(type="list", elements="str", default=[]),
            look=dict(type="bool", default=False),
            program=dict(type="path", default="/usr/local/bin/salvord"),
        ),
        supports_check_mode=True,
    )
    arch = ARCHITECTURES.get(platform.machine())
    if arch is None:
        module.fail_json(msg="salvord is built for amd64 and arm64, not for " + platform.machine())
    request = base64.b64decode(module.params["request"]).decode("utf-8")
    if module.params["look"]:
        look(module, request, arch)

    unseen = "what else the host lacks shows once this salvord is there"
    if module.check_mode and not os.path.exists(module.params["program"]):
        module.exit_json(changed=True, msg=unseen, resources=[], left=[], diff=dict(prepared="+ salvord: is not there\n"))
    answer, outdated = ask(module, request, module.check_mode)
    if outdated and (answer is None or answer.get("error")):
        if module.check_mode:
            module.exit_json(changed=True, msg=unseen, resources=[], left=[], diff=dict(prepared="~ salvord: is older\n"))
        module.fail_json(msg="the salvord of the host is older than this request: the task before has to install it")
    left = answer.get("left") or []
    for area in left:
        module.warn("area %s is left as it is: %s" % (area["area"], area["why"]))
    result = dict(
        changed=answer["changed"],
        resources=[r for r in answer["resources"] if r["state"] != "right"],
        left=left,
        diff=dict(prepared=lines(answer)),
    )
    if answer.get("error"):
        module.fail_json(msg=failure(answer["error"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
