"""The tests of the public PAS server suites by the groups they are in, each with its own id.

Source: Inferno PAS kit 0.15.1, suites `davinci_pas_server_suite_v201` and `_v221`.
"""

from tests.conformance.inferno.pas.updates import STEPS

Groups = dict[str, list[str]]

_PARTIES = ("insurer", "requestor", "beneficiary")
_PEOPLE = ("practitioner", "practitioner_role")
_MUST_SUPPORT = {
    "submit_request": (
        *("pas_request_bundle", "claim_update", "coverage", "encounter"),
        *(*_PARTIES, "subscriber", *_PEOPLE),
    ),
    "submit_response": (
        *("pas_response_bundle", "claimresponse", "communication_request"),
        *(*_PARTIES, *_PEOPLE, "task"),
    ),
    "inquire_request": (
        *("pas_inquiry_request_bundle", "claim_inquiry", "coverage"),
        *(*_PARTIES, "subscriber", *_PEOPLE),
    ),
    "inquire_response": (
        *("pas_inquiry_response_bundle", "claiminquiryresponse"),
        *(*_PARTIES, *_PEOPLE, "task"),
    ),
}


def suite(version: str) -> Groups:
    """The tests of the suite of a version, `v201` or `v221`, by group, in the order they run."""
    server = f"pas_server_{version}"
    return {
        f"{server}_subscription_setup": _subscription(version),
        f"{server}_approval_use_case": _workflow(version, "approval"),
        f"{server}_denial_use_case": _workflow(version, "denial"),
        f"{server}_pended_use_case": [*_workflow(version, "pended"), *_later(version)],
        **({f"{server}_claim_updates": _updates(server)} if version == "v221" else {}),
        f"{server}_must_support": [
            *_must_support(version, "submit"),
            *_must_support(version, "inquire"),
        ],
        f"pas_{version}_error_group": [
            f"{server}_prior_auth_{each}_error" for each in ("submission", "inquiry")
        ],
    }


def _subscription(version: str) -> list[str]:
    first = ["subscriptions_r4_server_subscription_conformance"] if version == "v201" else []
    then = ("notification_delivery", "creation_response_conformance", "handshake_conformance")
    return [
        *first,
        f"pas_server_{version}_subscription_input_conformance",
        *(f"subscriptions_r4_server_{each}" for each in then),
    ]


def _workflow(version: str, name: str) -> list[str]:
    server = f"pas_server_{version}"
    return [
        f"{server}_pas_request_bundle_validation_test_{name}",
        f"pas_{version}_claim_submit_operation_test_{name}",
        f"{server}_pas_response_bundle_validation_test_{name}",
        f"{server}_decision_validation_test_{name}",
    ]


def _later(version: str) -> list[str]:
    """What follows the answer that a request is pended."""
    server = f"pas_server_{version}"
    told = f"{server}_subscription_notification"
    both = [f"{told}_wait_pended", f"{told}_conformance_pended"]
    if version == "v221":
        return [
            *both,
            f"{told}_full_resource_conformance_pended",
            f"{server}_notification_pas_conformance_pended",
        ]
    return [
        *both,
        f"{told}_id_only_conformance_pended",
        f"{server}_pas_inquire_request_bundle_validation_test_pended",
        f"pas_{version}_claim_inquire_operation_test_pended",
        f"{server}_pas_inquire_response_bundle_validation_test_pended",
    ]


def _updates(server: str) -> list[str]:
    kinds = ("request_validation", "submit", "response_validation")
    steps = [f"{server}_claim_update_{kind}_{step}" for step in STEPS for kind in kinds]
    checks = ("item_sequence_echo_test", "current_results_test")
    return [*steps, *(f"{server}_claim_update_{each}" for each in checks)]


def _must_support(version: str, operation: str) -> list[str]:
    server = f"pas_server_{version}"
    orders = [f"{server}_must_support_request_profiles"] if operation == "submit" else []
    return [
        f"{server}_{operation}_request_bundle_validation_test_must_support",
        f"pas_{version}_claim_{operation}_operation_test_must_support",
        f"{server}_{operation}_response_bundle_validation_test_must_support",
        *orders,
        *(
            f"{server}_{way}_must_support_{name}"
            for way in (f"{operation}_request", f"{operation}_response")
            for name in _MUST_SUPPORT[way]
        ),
    ]
