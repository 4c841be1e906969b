"""What came with a request of the beneficiary's chart."""

from collections.abc import Iterator

from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.chart_facts import chart_records, codes_alone, is_chart_record
from wiser_fhir.pas.people import About, about, placed_resources
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import ChartRecord

_WHOSE = ("subject", "patient")


def chart(request: RequestBundle) -> Iterator[ChartRecord]:
    """Every record in the Bundle about the Claim's patient, also inside a Bundle of forms.

    Of a record that does not stand, or whose subject is nobody we know, it is only taken that it is
    there. One about somebody else is a doubt of the whole request.
    """
    for resource, holder, around in placed_resources(request):
        if not is_chart_record(resource):
            continue
        whose = about(request, around, holder, _subject(resource))
        if whose is About.SOMEBODY_ELSE:
            continue
        for record in chart_records(resource, holder, around):
            yield record if whose is About.THE_PATIENT else codes_alone(record)


def _subject(resource: Json) -> Json:
    return next((resource[name] for name in _WHOSE if resource.get(name)), {})
