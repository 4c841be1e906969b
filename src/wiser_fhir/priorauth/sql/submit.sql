-- The one hot write: a whole submission in one statement. Everything was decided before.
--
-- `fresh` is 0 when the identifier is known (then nothing is written; the insert into submission
-- has waited for a concurrent twin's commit, whose answer is read by a second statement).
-- `twin` is 1 when another request for the same is undecided (then only the submission row is
-- written, and the caller rolls back). Every other insert hangs on `go`.
--
-- :name stands for the field of that name of SubmissionWrite, or for what sealed_rows.py makes of
-- one; repository.py numbers them. All parts see one snapshot and foreign keys are checked at the
-- end, so their order does not matter; those of submission at commit, because a twin's row stands
-- alone until it is rolled back.
with sub as (
    insert into submission (organization_id, identifier_system, identifier_value, request_sha256,
        line, operation, case_id, answer_message_id, received_at, trace_system, trace_value)
    values (:organization_id::uuid, :identifier_system::text, :identifier_value::text,
        :request_sha256::bytea, :line::text, 'submit', :case_id::uuid, :answer_id::uuid,
        :received_at::timestamptz, :trace_system::text, :trace_key::text)
    on conflict do nothing
    returning 1
),
dup as materialized (
    select gate.open_twin(:mbi::text, :twin_npis::text[], :service::text, :request_id::uuid,
        :client_id::uuid, :patient::bytea) as open
    from sub where :check_twin::boolean
),
go as materialized (select 1 from sub where not exists (select from dup where open)),
request_message as (
    insert into message (organization_id, id, case_id, direction, kind, media_type, body, sha256,
        length, at)
    select :organization_id, :request_message_id::uuid, :case_id, 'in', 'claim-submit',
        'application/fhir+json', :request_body::bytea, :request_sha256, :request_length::int,
        :received_at
    from go
),
answer_message as (
    insert into message (organization_id, id, case_id, direction, kind, media_type, body, sha256,
        length, at)
    select :organization_id, :answer_id, :case_id, 'out', 'claim-response',
        'application/fhir+json', :answer_body::bytea, :answer_sha256::bytea, :answer_length::int,
        :answered_at::timestamptz
    from go
),
the_case as (
    insert into prior_auth_case (organization_id, id, line, kind, status, reference, service, rules,
        received_at, decide_by, expedite_requested, expedited, mbi, sealed_member, state, coverage,
        trace_system, trace_value, previous_utn, assessment, with_form, dismissal_reason,
        dismissal_detail, decided_at, valid_from, valid_until, assertions, remarks,
        request_message_id, answer_message_id)
    select :organization_id, :case_id, :line, :kind::text, :status::text, :reference::text,
        :service::text, :rules::text, :received_at, :decide_by::timestamptz,
        :expedite_requested::boolean, :expedited::boolean, :mbi, :sealed_member::bytea,
        :state::text, :coverage::text, :trace_system, :trace_value::text, :previous_utn::text,
        :assessment::bytea, :with_form::boolean, :dismissal_reason::text, :dismissal_detail::text,
        :decided_at::timestamptz, :valid_from::date, :valid_until::date,
        :assertions::text[], :remarks::text[], :request_message_id, :answer_id
    from go
),
items as (
    insert into case_item (organization_id, case_id, sequence, code_system, code, role, status,
        service_date, service_end, quantity, note, site_kind, site_code)
    select :organization_id, :case_id, i.sequence, i.code_system, i.code, i.role, i.status,
        i.service_date, i.service_end, i.quantity, i.note, i.site_kind, i.site_code
    from go, unnest(:item_sequence::int[], :item_system::text[], :item_code::text[],
        :item_role::text[], :item_status::text[], :item_date::date[], :item_end::date[],
        :item_quantity::numeric[], :item_note::text[], :item_site_kind::text[],
        :item_site_code::text[])
        i(sequence, code_system, code, role, status, service_date, service_end, quantity, note,
            site_kind, site_code)
),
parties as (
    insert into case_party (organization_id, case_id, position, role, npi, tin, ccn, ptan, name,
        state)
    select :organization_id, :case_id, p.position, p.role, p.npi, p.tin, p.ccn, p.ptan, p.name,
        p.state
    from go, unnest(:party_role::text[], :party_npi::text[], :party_tin::text[],
        :party_ccn::text[], :party_ptan::text[], :party_name::text[], :party_state::text[])
        with ordinality p(role, npi, tin, ccn, ptan, name, state, position)
),
determinations as (
    insert into determination (organization_id, case_id, sequence, revision, outcome, decided_at,
        decided_by, rules, findings, input_sha256, code_system, code, quantity, first_day, last_day,
        mac)
    select :organization_id, :case_id, d.sequence, 1, d.outcome, :decided_at, 'software', :rules,
        d.findings, :request_sha256, d.code_system, d.code, d.quantity, :valid_from,
        :valid_until, d.mac
    from go, unnest(:decided_sequence::int[], :decided_outcome::text[], :decided_system::text[],
        :decided_code::text[], :decided_quantity::numeric[], :decided_findings::bytea[],
        :decided_mac::bytea[])
        d(sequence, outcome, code_system, code, quantity, findings, mac)
),
number as (
    insert into utn (utn, organization_id, case_id, revision, source, state, requested_at,
        assigned_at, delivered_at, valid_from, valid_until)
    select :utn::text, :organization_id, :case_id, 1, :utn_source::text,
        case when :utn is null then 'pending' else 'assigned' end, :decided_at,
        case when :utn is not null then :decided_at end,
        case when :utn is not null then :answered_at end, :valid_from, :valid_until
    from go where :orders_utn::boolean
),
documents as (
    insert into document (organization_id, case_id, position, kind, title, content_type, size,
        sha256)
    select :organization_id, :case_id, d.position, d.kind, d.title, d.content_type, d.size,
        d.sha256
    from go, unnest(:document_kind::text[], :document_title::text[],
        :document_content_type::text[], :document_size::int[], :document_sha256::bytea[])
        with ordinality d(kind, title, content_type, size, sha256, position)
),
audited as (
    insert into audit_event (organization_id, client_id, request_id, action, outcome, object_kind,
        object_id, patient, detail)
    select :organization_id, :client_id, :request_id, :audit_action::text, :audit_outcome::text,
        :audit_object_kind::text, :audit_object_id::text, :patient, :audit_detail::text::jsonb
    from go
),
letters as (
    insert into letter (organization_id, id, case_id, revision, kind, recipient, created_at)
    select :organization_id, :letter_id::uuid, :case_id, 1, 'determination-copy', 'beneficiary',
        :answered_at
    from go where :orders_utn
)
select (select count(*) from sub) = 1 as fresh, exists (select from dup where open) as twin
