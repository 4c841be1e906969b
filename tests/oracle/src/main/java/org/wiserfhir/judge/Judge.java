package org.wiserfhir.judge;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * One request line in, one answer line out, until the input ends; answers may overtake each other.
 *
 * <p>Arguments: folder of packages, folder of stubs, number of threads, and per line its name and
 * packages in order of precedence, as in {@code 2.2=hl7.fhir.r4.core#4.0.1,...}.
 */
public final class Judge {
    /** The engine writes which resource an entry holds into the path. */
    private static final Pattern RESOURCE_NAME = Pattern.compile("/\\*[^*]*\\*/");

    private final ObjectMapper json = new ObjectMapper();
    private final FhirContext fhir = FhirContext.forR4();
    private final Map<String, LineValidator> lines = new ConcurrentHashMap<>();
    private final Suppressions suppressions = Suppressions.read();
    private final Map<String, List<String>> packages;
    private final Path folder;
    private final Path stubs;
    private final PrintStream out;

    private Judge(Path folder, Path stubs, Map<String, List<String>> packages, PrintStream out) {
        this.folder = folder;
        this.stubs = stubs;
        this.packages = packages;
        this.out = out;
        json.enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
        json.setNodeFactory(JsonNodeFactory.withExactBigDecimals(true));
    }

    public static void main(String[] args) throws IOException {
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Map<String, List<String>> packages = Arrays.stream(args)
                .skip(3)
                .map(line -> line.split("=", 2))
                .collect(Collectors.toMap(line -> line[0], line -> List.of(line[1].split(","))));
        Judge judge = new Judge(Path.of(args[0]), Path.of(args[1]), packages, answers);
        ExecutorService workers = Executors.newFixedThreadPool(Integer.parseInt(args[2]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String request = in.readLine(); request != null; request = in.readLine()) {
            String line = request;
            workers.execute(() -> judge.answer(line));
        }
        workers.shutdown();
    }

    private void answer(String line) {
        ObjectNode answer = json.createObjectNode();
        try {
            JsonNode request = json.readTree(line);
            answer.set("id", request.get("id"));
            long start = System.nanoTime();
            answer.set("issues", judge(request));
            answer.put("ms", (System.nanoTime() - start) / 1e6);
        } catch (IOException failure) {
            answer.put("failure", failure.toString());
        }
        send(answer);
    }

    private ArrayNode judge(JsonNode request) throws IOException {
        String resource = json.writeValueAsString(request.get("resource"));
        ArrayNode issues = json.createArrayNode();
        LineValidator line = line(request.get("line").asText());
        try {
            line.validate(resource, profiles(request)).forEach(message -> issues.add(issue(message)));
        } catch (RuntimeException crash) {
            issues.add(issue("fatal", "", "The engine breaks on this: " + crash, "engine-crash"));
        }
        return issues;
    }

    private static List<String> profiles(JsonNode request) {
        List<String> profiles = new ArrayList<>();
        JsonNode stated = request.path("profile");
        if (stated.isTextual()) {
            profiles.add(stated.asText());
        }
        stated.elements().forEachRemaining(profile -> profiles.add(profile.asText()));
        return profiles;
    }

    private LineValidator line(String name) {
        return lines.computeIfAbsent(name, line -> {
            try {
                return LineValidator.load(Packages.read(fhir, folder, packages.get(line), stubs), suppressions);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        });
    }

    private ObjectNode issue(SingleValidationMessage message) {
        String place = RESOURCE_NAME.matcher(String.valueOf(message.getLocationString())).replaceAll("");
        return issue(message.getSeverity().getCode(), place, message.getMessage(), message.getMessageId());
    }

    private ObjectNode issue(String severity, String expression, String text, String id) {
        ObjectNode issue = json.createObjectNode();
        issue.put("severity", severity);
        issue.put("expression", expression);
        issue.put("text", text);
        issue.put("id", id);
        return issue;
    }

    private void send(ObjectNode answer) {
        synchronized (out) {
            out.println(answer);
            out.flush();
        }
    }
}
