"""Canonicals and systems of the guides, each once."""

from typing import Literal

Line = Literal["2.2", "2.0"]
"""A PAS line: `2.2` is PAS 2.2.1 under /fhir, `2.0` is PAS 2.0.1 under /v2.0/fhir."""

LINES: tuple[Line, ...] = ("2.2", "2.0")

CANONICAL_BASE: dict[Line, str] = {
    "2.2": "https://wiser-fhir.example/fhir",
    "2.0": "https://wiser-fhir.example/v2.0/fhir",
}
"""Base of our own Questionnaires and code systems. Never the host that serves them."""

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
PAS_TEMP_CODES = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"

REQUEST_BUNDLE = PAS + "profile-pas-request-bundle"
RESPONSE_BUNDLE = PAS + "profile-pas-response-bundle"
INQUIRY_BUNDLE = PAS + "profile-pas-inquiry-request-bundle"
INQUIRY_RESPONSE_BUNDLE = PAS + "profile-pas-inquiry-response-bundle"
CLAIM_UPDATE = PAS + "profile-claim-update"
CLAIM_RESPONSE = PAS + "profile-claimresponse"
CLAIM_INQUIRY_RESPONSE = PAS + "profile-claiminquiryresponse"
COMMUNICATION_REQUEST = PAS + "profile-communicationrequest"
TASK = PAS + "profile-task"

ADMINISTRATION_REFERENCE_NUMBER = PAS + "extension-administrationReferenceNumber"
ADMISSION_DATES = PAS + "extension-admissionDates"
AUTHORIZATION_NUMBER = PAS + "extension-authorizationNumber"
AUTHORIZED_PROVIDER_TYPE = PAS + "extension-authorizedProviderType"
CERTIFICATION_TYPE = PAS + "extension-certificationType"
CLAIM_RESPONSE_REVIEWER = PAS + "extension-claimResponseReviewer"
COMMUNICATED_DIAGNOSIS = PAS + "extension-communicatedDiagnosis"
CONTENT_MODIFIER = PAS + "extension-contentModifier"
DISCHARGE_DATE = PAS + "extension-dischargeDate"
EPSDT_INDICATOR = PAS + "extension-epsdtIndicator"
ERROR_ELEMENT = PAS + "extension-errorElement"
ERROR_FOLLOWUP_ACTION = PAS + "extension-errorFollowupAction"
ERROR_PATH = PAS + "extension-errorPath"
ITEM_AUTHORIZED_DETAIL = PAS + "extension-itemAuthorizedDetail"
ITEM_AUTHORIZED_PROVIDER = PAS + "extension-itemAuthorizedProvider"
ITEM_CATEGORY = PAS + "extension-itemCategory"
ITEM_PREAUTH_ISSUE_DATE = PAS + "extension-itemPreAuthIssueDate"
ITEM_PREAUTH_PERIOD = PAS + "extension-itemPreAuthPeriod"
ITEM_REQUESTED_SERVICE_DATE = PAS + "extension-itemRequestedServiceDate"
INFO_CANCELLED = PAS + "modifierextension-infoCancelled"
INFO_CHANGED = PAS + "extension-infoChanged"
ITEM_TRACE_NUMBER = PAS + "extension-itemTraceNumber"
LEVEL_OF_SERVICE = PAS + "extension-levelOfServiceCode"
NURSING_HOME_LEVEL_OF_CARE = PAS + "extension-nursingHomeLevelOfCare"
NURSING_HOME_RESIDENTIAL_STATUS = PAS + "extension-nursingHomeResidentialStatus"
PA_LINE_NUMBER = PAS + "extension-paLineNumber"
PRODUCT_OR_SERVICE_CODE_END = PAS + "extension-productOrServiceCodeEnd"
REQUESTED_SERVICE = PAS + "extension-requestedService"
REVENUE_CODE = PAS + "extension-revenueCode"
REVENUE_UNIT_RATE_LIMIT = PAS + "extension-revenueUnitRateLimit"
REVIEW_ACTION = PAS + "extension-reviewAction"
REVIEW_ACTION_CODE = PAS + "extension-reviewActionCode"
SERVICE_ITEM_REQUEST_TYPE = PAS + "extension-serviceItemRequestType"
SERVICE_LINE_NUMBER = PAS + "extension-serviceLineNumber"
TRANSMISSION_IDENTIFIERS = PAS + "extension-TransmissionIdentifiers"

COVERAGE_INFORMATION = (
    "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
)
INFORMATION_ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"

X12_ACTION = "https://codesystem.x12.org/005010/306"
X12_CERTIFICATION_TYPE = "https://codesystem.x12.org/005010/1322"
X12_DECISION_REASON = "https://codesystem.x12.org/external/886"
X12_ENTITY = "https://codesystem.x12.org/005010/98"
X12_FOLLOWUP_ACTION = "https://codesystem.x12.org/005010/889"
X12_LEVEL_OF_SERVICE = "https://codesystem.x12.org/005010/1338"
X12_NURSING_HOME_LEVEL_OF_CARE = "https://codesystem.x12.org/005010/1337"
X12_NURSING_HOME_RESIDENTIAL_STATUS = "https://codesystem.x12.org/005010/1345"
X12_REJECT_REASON = "https://codesystem.x12.org/005010/901"
X12_REPORT_TYPE = "https://codesystem.x12.org/005010/755"
X12_REQUEST_TYPE = "https://codesystem.x12.org/005010/1525"

ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
DATA_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CARE_TEAM_ROLE = "http://terminology.hl7.org/CodeSystem/claimcareteamrole"
PROVIDER_TAXONOMY = "http://nucc.org/provider-taxonomy"
PROCESS_PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"

MBI = "http://hl7.org/fhir/sid/us-mbi"
MBI_SYSTEMS = (
    MBI,
    "urn:oid:2.16.840.1.113883.4.927",
    "http://terminology.hl7.org/NamingSystem/cmsMBI",
)
NPI = "http://hl7.org/fhir/sid/us-npi"
NPI_SYSTEMS = (NPI, "urn:oid:2.16.840.1.113883.4.6")
TIN = ("http://terminology.hl7.org/NamingSystem/USEIN", "urn:oid:2.16.840.1.113883.4.4")
CCN = "urn:oid:2.16.840.1.113883.4.336"
PLACE_OF_SERVICE = (
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
)
TYPE_OF_BILL = "https://www.nubc.org/CodeSystem/TypeOfBill"
REVENUE_CODES: dict[Line, str] = {
    "2.2": "https://www.nubc.org/CodeSystem/RevenueCodes",
    "2.0": "https://www.nubc.org/revenue-code",
}
