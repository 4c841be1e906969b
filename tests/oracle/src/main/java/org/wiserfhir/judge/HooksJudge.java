package org.wiserfhir.judge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.convertors.loaders.loaderR5.NullLoaderKnowledgeProviderR5;
import org.hl7.fhir.convertors.loaders.loaderR5.R4ToR5Loader;
import org.hl7.fhir.r5.context.ContextUtilities;
import org.hl7.fhir.r5.context.IContextResourceLoader;
import org.hl7.fhir.r5.context.SimpleWorkerContext;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.r5.utils.validation.ValidatorSession;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.r5.utils.xver.XVerExtensionManagerFactory;
import org.hl7.fhir.utilities.npm.NpmPackage;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.validation.ValidatorSettings;
import org.hl7.fhir.validation.instance.InstanceValidator;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/**
 * JSON that is no resource (CDS Hooks) against HL7's logical models: one request line in, one answer
 * line out, until the input ends. HAPI's wrapper takes resources only, so the engine is asked itself.
 *
 * <p>Arguments: folder of packages, and their names, the core first, in order of loading.
 */
public final class HooksJudge {
    private final ObjectMapper json = new ObjectMapper();
    private final SimpleWorkerContext definitions;

    private HooksJudge(SimpleWorkerContext definitions) {
        this.definitions = definitions;
    }

    public static void main(String[] args) throws IOException {
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        HooksJudge judge = new HooksJudge(load(Path.of(args[0]), args[1].split(",")));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            answers.println(judge.answer(line));
            answers.flush();
        }
    }

    private static SimpleWorkerContext load(Path folder, String[] names) throws IOException {
        SimpleWorkerContext context = new SimpleWorkerContext.SimpleWorkerContextBuilder()
                .withAllowLoadingDuplicates(true)
                .fromPackage(read(folder, names[0]), loader(), false);
        context.setCanRunWithoutTerminology(true);
        context.setNoTerminologyServer(true);
        for (int i = 1; i < names.length; i++) {
            context.loadFromPackage(read(folder, names[i]), loader());
        }
        // An extension of CDS Hooks is found by the name in its snapshot, which packages leave out.
        ContextUtilities utilities = new ContextUtilities(context);
        for (StructureDefinition model : context.fetchResourcesByType(StructureDefinition.class)) {
            if (!model.hasSnapshot() && model.getUrl().matches(".*/(CDSHook|CRD)\\w*(-\\w+)?")) {
                utilities.generateSnapshot(model);
            }
        }
        return context;
    }

    private static IContextResourceLoader loader() {
        return new R4ToR5Loader(Set.of("StructureDefinition"), new NullLoaderKnowledgeProviderR5(), "4.0.1");
    }

    private static NpmPackage read(Path folder, String name) throws IOException {
        try (InputStream in = Files.newInputStream(folder.resolve(name + ".tgz"))) {
            return NpmPackage.fromPackage(in);
        }
    }

    private ObjectNode answer(String line) throws IOException {
        ObjectNode answer = json.createObjectNode();
        ArrayNode issues = answer.putArray("issues");
        JsonNode request = json.readTree(line);
        StructureDefinition model = definitions.fetchResource(
                StructureDefinition.class, request.get("model").asText());
        if (model == null) {
            return answer.put("failure", "no such model: " + request.get("model").asText());
        }
        for (ValidationMessage message : judge(json.writeValueAsBytes(request.get("json")), model)) {
            ObjectNode issue = issues.addObject();
            issue.put("severity", message.getLevel().toCode());
            issue.put("expression", message.getLocation());
            issue.put("text", message.getMessage());
            issue.put("id", String.valueOf(message.getMessageId()));
        }
        return answer;
    }

    private List<ValidationMessage> judge(byte[] body, StructureDefinition model) throws IOException {
        InstanceValidator engine = new InstanceValidator(
                definitions,
                null,
                XVerExtensionManagerFactory.createExtensionManager(definitions),
                new ValidatorSession(),
                new ValidatorSettings());
        engine.setAnyExtensionsAllowed(true);
        engine.setNoTerminologyChecks(true);
        engine.setFetcher(nothing());
        engine.setPolicyAdvisor(
                new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of()));
        List<ValidationMessage> messages = new ArrayList<>();
        List<StructureDefinition> models = new ArrayList<>(List.of(model));
        engine.validate(null, messages, new ByteArrayInputStream(body), FhirFormat.JSON, models);
        return messages;
    }

    /** Fetches nothing, and takes every URL for one that leads somewhere. */
    private static IValidatorResourceFetcher nothing() {
        return (IValidatorResourceFetcher) Proxy.newProxyInstance(
                HooksJudge.class.getClassLoader(),
                new Class<?>[] {IValidatorResourceFetcher.class},
                (self, method, arguments) -> switch (method.getName()) {
                    case "resolveURL" -> true;
                    case "fetchesCanonicalResource" -> false;
                    case "fetchCanonicalResourceVersions" -> Set.of();
                    case "setLocale" -> self;
                    default -> null;
                });
    }
}
