package org.wiserfhir.judge;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.parser.LenientErrorHandler;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.compressors.gzip.GzipCompressorInputStream;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r4.model.StructureDefinition;
import org.hl7.fhir.r4.model.ValueSet;

/**
 * The definitions of one line's packages, found by canonical URL, parsed when first asked for.
 *
 * <p>Packages come in order of precedence: an unversioned canonical means the first package that has
 * it. A version that no package has falls back to the unversioned one (a few guides pin releases
 * that were never published as a package here), and says so once on stderr.
 */
final class Packages implements IValidationSupport {
    private static final Set<String> TYPES = Set.of("StructureDefinition", "ValueSet", "CodeSystem");
    private static final JsonFactory JSON = new JsonFactory();

    private final FhirContext fhir;
    private final Map<String, Entry> byCanonical = new HashMap<>();
    private final Map<String, Boolean> reported = new HashMap<>();
    private final List<Entry> types = new ArrayList<>();

    private Packages(FhirContext fhir) {
        this.fhir = fhir;
    }

    /** Reads `names` ("id#version") from `folder`, after the loose JSON files of `stubs`. */
    static Packages read(FhirContext fhir, Path folder, List<String> names, Path stubs) throws IOException {
        Packages packages = new Packages(fhir);
        if (stubs != null && Files.isDirectory(stubs)) {
            try (Stream<Path> files = Files.walk(stubs)) {
                for (Path file : files.filter(f -> f.toString().endsWith(".json")).sorted().toList()) {
                    packages.add(Files.readAllBytes(file), false);
                }
            }
        }
        for (String name : names) {
            packages.addPackage(folder.resolve(name + ".tgz"), name.startsWith("hl7.fhir.r4.core#"));
        }
        return packages;
    }

    private void addPackage(Path file, boolean core) throws IOException {
        try (InputStream raw = Files.newInputStream(file);
                TarArchiveInputStream tar = new TarArchiveInputStream(new GzipCompressorInputStream(raw))) {
            for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
                String path = entry.getName();
                boolean definition = path.startsWith("package/") && path.indexOf('/', 8) < 0;
                if (definition && path.endsWith(".json") && TYPES.contains(typeOf(path))) {
                    add(tar.readAllBytes(), core);
                }
            }
        }
    }

    private static String typeOf(String path) {
        int dash = path.indexOf('-');
        return dash < 0 ? "" : path.substring("package/".length(), dash);
    }

    private void add(byte[] body, boolean core) throws IOException {
        Map<String, String> head = head(body);
        String url = head.get("url");
        if (url == null || !TYPES.contains(head.get("resourceType"))) {
            return;
        }
        Entry entry = new Entry(head.get("resourceType"), url, head.get("version"), body);
        String key = entry.type + " " + url;
        byCanonical.putIfAbsent(key, entry);
        byCanonical.putIfAbsent(key + "|" + entry.version, entry);
        if (core && "specialization".equals(head.get("derivation")) || core && url.endsWith("/Element")) {
            types.add(entry);
        }
    }

    /** The scalar members of the outermost object. */
    private static Map<String, String> head(byte[] body) throws IOException {
        Map<String, String> head = new LinkedHashMap<>();
        try (JsonParser json = JSON.createParser(body)) {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                JsonToken value = json.nextToken();
                if (value == JsonToken.VALUE_STRING) {
                    head.put(name, json.getText());
                } else {
                    json.skipChildren();
                }
            }
        }
        return head;
    }

    private IBaseResource find(String type, String canonical) {
        if (canonical == null || canonical.isEmpty()) {
            return null;
        }
        Entry entry = byCanonical.get(type + " " + canonical);
        int bar = canonical.indexOf('|');
        if (entry == null && bar > 0) {
            entry = byCanonical.get(type + " " + canonical.substring(0, bar));
            if (entry != null && reported.putIfAbsent(canonical, true) == null) {
                System.err.println("judge: " + canonical + " is not loaded, " + entry.version + " serves for it");
            }
        }
        return entry == null ? null : entry.parsed(fhir);
    }

    @Override
    public FhirContext getFhirContext() {
        return fhir;
    }

    @Override
    public String getName() {
        return "Guide packages";
    }

    @Override
    public IBaseResource fetchStructureDefinition(String url) {
        String canonical = url.startsWith("http") ? url : URL_PREFIX_STRUCTURE_DEFINITION + url;
        return find("StructureDefinition", canonical);
    }

    @Override
    public IBaseResource fetchValueSet(String url) {
        return find("ValueSet", url);
    }

    @Override
    public IBaseResource fetchCodeSystem(String url) {
        return find("CodeSystem", url);
    }

    @Override
    @SuppressWarnings("unchecked")
    public <T extends IBaseResource> T fetchResource(Class<T> type, String url) {
        if (type == null) {
            return (T) Stream.of("StructureDefinition", "ValueSet", "CodeSystem")
                    .map(name -> find(name, url))
                    .filter(found -> found != null)
                    .findFirst()
                    .orElse(null);
        }
        return TYPES.contains(type.getSimpleName()) ? (T) find(type.getSimpleName(), url) : null;
    }

    /** The base types only: the engine asks for all to learn which names are primitive types. */
    @Override
    @SuppressWarnings("unchecked")
    public <T extends IBaseResource> List<T> fetchAllStructureDefinitions() {
        return (List<T>) types.stream().map(entry -> entry.parsed(fhir)).toList();
    }

    private static final class Entry {
        private final String type;
        private final String url;
        private final String version;
        private byte[] body;
        private IBaseResource resource;

        Entry(String type, String url, String version, byte[] body) {
            this.type = type;
            this.url = url;
            this.version = version;
            this.body = body;
        }

        synchronized IBaseResource parsed(FhirContext fhir) {
            if (resource == null) {
                IParser parser = fhir.newJsonParser().setParserErrorHandler(new LenientErrorHandler(false));
                resource = parser.parseResource(kind(), new String(body, StandardCharsets.UTF_8));
                body = null;
            }
            return resource;
        }

        private Class<? extends IBaseResource> kind() {
            return switch (type) {
                case "StructureDefinition" -> StructureDefinition.class;
                case "ValueSet" -> ValueSet.class;
                default -> CodeSystem.class;
            };
        }

        @Override
        public String toString() {
            return type + " " + url + "|" + version;
        }
    }
}
