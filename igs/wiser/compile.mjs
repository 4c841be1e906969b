// Compiles the CQL libraries of a directory to ELM, all or those named:
//   node compile.mjs CQL_DIR ELM_DIR [STEM ...]
// The bytes depend on the CQL and the translator's version alone.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import ucum from "@lhncbc/ucum-lhc";
import { SystemModelInfoProvider } from "@cqframework/cql/cql";
import {
  CqlCompilerOptions,
  CqlTranslator,
  LibraryManager,
  ModelManager,
  createLibrarySourceProvider,
  createModelInfoProvider,
  createUcumService,
  stringAsSource,
} from "@cqframework/cql/cql-to-elm";

const FHIR_MODEL = "cql-exec-fhir/lib/modelInfos/fhir-modelinfo-4.0.1.xml";
// Said of every retrieve by value set where no library converts FHIR's types; the retrieve is whole.
const EXPECTED = "Could not resolve membership operator for terminology target of the retrieve.";
const DROPPED = new Set(["localId", "locator"]);

const read = (path) => readFileSync(path, "utf8");

// Units are checked, never converted: no library of ours calculates with a measured unit.
function unitCheck() {
  const units = ucum.UcumLhcUtils.getInstance();
  const check = (unit) => {
    const { status, msg } = units.validateUnitString(unit);
    return status === "valid" ? null : String(msg);
  };
  const none = () => {
    throw new Error("no unit is converted while translating");
  };
  return createUcumService(none, check, none, none);
}

function libraryManager(sources) {
  const models = new ModelManager();
  const fhir = read(createRequire(import.meta.url).resolve(FHIR_MODEL));
  models.modelInfoLoader.registerModelInfoProvider(new SystemModelInfoProvider(), true);
  models.modelInfoLoader.registerModelInfoProvider(
    createModelInfoProvider((name) => (name === "FHIR" ? stringAsSource(fhir) : null)),
  );
  const { Options } = CqlCompilerOptions;
  const options = new CqlCompilerOptions();
  options.setOptions([Options.DisableListDemotion, Options.DisableListPromotion]);
  const libraries = new LibraryManager(models, options, undefined, unitCheck());
  libraries.librarySourceLoader.registerProvider(
    createLibrarySourceProvider((name, _system, version) => {
      const text = sources.get(`${name}-${version}`);
      return text === undefined ? null : stringAsSource(text);
    }),
  );
  return libraries;
}

// Without positions, empty lists and the translator's remarks, which no engine reads.
function lean(node) {
  if (Array.isArray(node)) return node.map(lean);
  if (node === null || typeof node !== "object") return node;
  const kept = Object.entries(node).filter(
    ([key, value]) => !DROPPED.has(key) && key !== "annotation" && !isEmpty(value),
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, lean(value)]));
}

const isEmpty = (value) => Array.isArray(value) && value.length === 0;

function compile(stem, text, libraries) {
  const { library } = JSON.parse(CqlTranslator.fromText(text, libraries).toJson());
  const faults = library.annotation.filter(
    (remark) => remark.type === "CqlToElmError" && remark.message !== EXPECTED,
  );
  for (const { libraryId, startLine, errorSeverity, message } of faults) {
    console.error(`${stem}.cql: ${libraryId} line ${startLine}: ${errorSeverity}: ${message}`);
  }
  if (faults.length > 0) return null;
  const { id, version } = library.identifier;
  if (`${id}-${version}` !== stem) throw new Error(`${stem}.cql holds ${id} version ${version}`);
  const about = library.annotation.find((remark) => remark.type === "CqlToElmInfo");
  return JSON.stringify({ library: { annotation: [about], ...lean(library) } }) + "\n";
}

const [sourceDirectory, targetDirectory, ...named] = process.argv.slice(2);
const stems = readdirSync(sourceDirectory)
  .filter((name) => name.endsWith(".cql"))
  .map((name) => name.slice(0, -".cql".length))
  .sort();
const sources = new Map(stems.map((stem) => [stem, read(join(sourceDirectory, `${stem}.cql`))]));
for (const stem of named.length > 0 ? named : stems) {
  const elm = compile(stem, sources.get(stem), libraryManager(sources));
  if (elm === null) process.exitCode = 1;
  else writeFileSync(join(targetDirectory, `${stem}.json`), elm);
}
