-- The three roles of wiser-fhir. A database administrator runs this once per cluster, as a role
-- that may create roles; the embedded server runs it by itself. Give the two login roles whatever
-- authentication your installation uses. Then: create database wiser owner wiser_owner;
--
--   wiser_owner  owns the tables and migrates them; inherits nothing, so row-level security binds it
--   wiser_app    what the server runs as; owns nothing, sees one organization at a time
--   wiser_gate   owns the two functions that look across organizations; nobody logs in as it
do $$
begin
    if not exists (select from pg_roles where rolname = 'wiser_owner') then
        create role wiser_owner login noinherit;
    end if;
    if not exists (select from pg_roles where rolname = 'wiser_app') then
        create role wiser_app login;
    end if;
    if not exists (select from pg_roles where rolname = 'wiser_gate') then
        create role wiser_gate nologin;
    end if;
    if not pg_has_role('wiser_owner', 'wiser_gate', 'member') then
        grant wiser_gate to wiser_owner;
    end if;
end $$;
