// Fills forms: reads a task as JSON from standard input, writes the answers as JSON.
//   task:    { today, packages: {package: {elm: {stem: ELM},
//                                          valueSets: {url: {version: [{code, system}]}}}},
//              runs: [{ name, package, library: stem, bundle, expressions? }] }
//   answers: { name: { define: value } }
// `expressions` are compiled expressions by linkId, as a form has them: they are executed as they
// stand, and answered by linkId. Without them every define of an answer is.

import { readFileSync } from "node:fs";
import cql from "cql-execution";
import fhir from "cql-exec-fhir";

// An engine reads one patient's record: what is about another one never reaches it.
function recordOf(bundle) {
  const patient = bundle.entry.find(({ resource }) => resource.resourceType === "Patient");
  const own = new Set([`Patient/${patient.resource.id}`, patient.fullUrl]);
  const about = ({ resource }) => resource.subject ?? resource.patient;
  const entry = bundle.entry.filter(
    (each) => each === patient || about(each) === undefined || own.has(about(each).reference),
  );
  return { ...bundle, entry: entry.filter((each) => each === patient || !isPatient(each)) };
}

const isPatient = ({ resource }) => resource.resourceType === "Patient";

function plain(value) {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (value.isCode) return { system: value.system, code: value.code, display: value.display };
  if (value.isDate || value.isDateTime) return value.toString();
  if (typeof value === "object") throw new Error(`no answer is a ${value.constructor.name}`);
  return value;
}

async function fill({ library, bundle, expressions }, { libraries, codes }, now) {
  patients.reset();
  patients.loadBundles([recordOf(bundle)]);
  const logic = expressions
    ? new cql.Library(formLogic(library, expressions), libraries)
    : libraries.resolve(...identity(library));
  const { patientResults } = await new cql.Executor(logic, codes).exec(patients, now);
  const [answers] = Object.values(patientResults);
  const isAnswer = expressions ? (name) => name in expressions : (name) => name.includes("-");
  const defines = Object.entries(answers).filter(([name]) => isAnswer(name));
  return Object.fromEntries(defines.map(([name, value]) => [name, plain(value)]));
}

// A form's expressions see its library under the library's own name.
function formLogic(library, expressions) {
  const [name, version] = identity(library);
  const statements = Object.entries(expressions).map(([linkId, expression]) => ({
    name: linkId,
    context: "Patient",
    accessLevel: "Public",
    expression,
  }));
  return {
    library: {
      identifier: { id: "Form", version },
      schemaIdentifier: { id: "urn:hl7-org:elm", version: "r1" },
      usings: {
        def: [
          { localIdentifier: "System", uri: "urn:hl7-org:elm-types:r1" },
          { localIdentifier: "FHIR", uri: "http://hl7.org/fhir", version: "4.0.1" },
        ],
      },
      includes: { def: [{ localIdentifier: name, path: name, version }] },
      statements: { def: statements },
    },
  };
}

function identity(stem) {
  const cut = stem.indexOf("-");
  return [stem.slice(0, cut), stem.slice(cut + 1)];
}

// Reads each library once, however many charts it is run over.
class Libraries extends cql.Repository {
  read = new Map();

  resolve(name, version) {
    const key = `${name}-${version}`;
    if (!this.read.has(key)) this.read.set(key, super.resolve(name, version));
    return this.read.get(key);
  }
}

const patients = fhir.PatientSource.FHIRv401();
const task = JSON.parse(readFileSync(0, "utf8"));
const packages = Object.fromEntries(
  Object.entries(task.packages).map(([name, { elm, valueSets }]) => [
    name,
    { libraries: new Libraries(elm), codes: new cql.CodeService(valueSets) },
  ]),
);
const now = cql.DateTime.parse(`${task.today}T12:00:00.000+00:00`);
const answers = {};
for (const run of task.runs) answers[run.name] = await fill(run, packages[run.package], now);
process.stdout.write(JSON.stringify(answers));
