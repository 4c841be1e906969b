package org.wiserfhir.judge;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.ConceptValidationOptions;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.LookupCodeRequest;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.CanonicalType;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r4.model.ValueSet;
import org.hl7.fhir.r4.model.ValueSet.ConceptSetComponent;

/**
 * HAPI's in-memory terminology where the packages settle a code, and "fine" where only a terminology
 * server could (X12, NUBC, CPT, HCPCS, ICD-10, SNOMED CT, LOINC, UCUM, BCP 47 ... are named by guides,
 * not published in them). HAPI's own tables of languages, units, countries and media types are left
 * out: they are not HL7's, and refuse what is right (the language "EN").
 *
 * <p>Settled is: a code of a code system published complete; a code set against a value set whose
 * parts for that code's system are listed codes or complete code systems. So a code of a system
 * that the value set does not name at all is refused, whether or not the named ones are here.
 */
final class OfflineTerminology implements IValidationSupport {
    private final Packages packages;
    private final InMemoryTerminologyServerValidationSupport memory;

    OfflineTerminology(Packages packages) {
        this.packages = packages;
        this.memory = new InMemoryTerminologyServerValidationSupport(packages.getFhirContext());
        this.memory.setIssueSeverityForCodeDisplayMismatch(IssueSeverity.WARNING);
    }

    @Override
    public FhirContext getFhirContext() {
        return packages.getFhirContext();
    }

    @Override
    public String getName() {
        return "Offline terminology";
    }

    @Override
    public boolean isCodeSystemSupported(ValidationSupportContext context, String system) {
        return system != null && !system.isBlank();
    }

    /** Every one, so that none is refused for being unknown here. */
    @Override
    public boolean isValueSetSupported(ValidationSupportContext context, String url) {
        return true;
    }

    /**
     * Any code of a system that is not here: HAPI asks before it compares with the codes that a value
     * set lists of that system.
     */
    @Override
    public LookupCodeResult lookupCode(ValidationSupportContext context, LookupCodeRequest request) {
        if (isComplete(request.getSystem())) {
            return memory.lookupCode(context, request);
        }
        return new LookupCodeResult().setFound(true);
    }

    @Override
    public ValueSetExpansionOutcome expandValueSet(
            ValidationSupportContext context,
            ca.uhn.fhir.context.support.ValueSetExpansionOptions options,
            IBaseResource valueSet) {
        return memory.expandValueSet(context, options, valueSet);
    }

    @Override
    public CodeValidationResult validateCode(
            ValidationSupportContext context,
            ConceptValidationOptions options,
            String system,
            String code,
            String display,
            String valueSetUrl) {
        if (valueSetUrl != null && !valueSetUrl.isBlank()) {
            IBaseResource valueSet = packages.fetchValueSet(valueSetUrl);
            return valueSet == null
                    ? fine(code)
                    : validateCodeInValueSet(context, options, system, code, display, valueSet);
        }
        // A bare code has no system but that of its value set, which was asked before: HAPI guesses one.
        if (system == null || options.isInferSystem() || !isComplete(system)) {
            return fine(code);
        }
        return memory.validateCode(context, options, system, code, display, null);
    }

    @Override
    public CodeValidationResult validateCodeInValueSet(
            ValidationSupportContext context,
            ConceptValidationOptions options,
            String system,
            String code,
            String display,
            IBaseResource resource) {
        ValueSet valueSet = (ValueSet) resource;
        if (!isSettled(valueSet, system, new HashSet<>())) {
            return fine(code);
        }
        return memory.validateCodeInValueSet(context, options, system, code, display, valueSet);
    }

    private static CodeValidationResult fine(String code) {
        return new CodeValidationResult().setCode(code == null ? "" : code);
    }

    private boolean isSettled(ValueSet valueSet, String system, Set<String> seen) {
        if (!seen.add(valueSet.getUrl())) {
            return true;
        }
        if (!valueSet.hasCompose()) {
            return false;
        }
        return allSettled(valueSet.getCompose().getInclude(), system, seen)
                && allSettled(valueSet.getCompose().getExclude(), system, seen);
    }

    private boolean allSettled(List<ConceptSetComponent> parts, String system, Set<String> seen) {
        return parts.stream().allMatch(part -> isSettled(part, system, seen));
    }

    private boolean isSettled(ConceptSetComponent part, String system, Set<String> seen) {
        for (CanonicalType url : part.getValueSet()) {
            ValueSet other = (ValueSet) packages.fetchValueSet(url.getValue());
            if (other == null || !isSettled(other, system, seen)) {
                return false;
            }
        }
        if (!part.hasSystem() || part.hasConcept()) {
            return true;
        }
        boolean elsewhere = system != null && !system.isBlank() && !bare(system).equals(part.getSystem());
        return elsewhere || isComplete(part.getSystem());
    }

    private boolean isComplete(String system) {
        CodeSystem found = (CodeSystem) packages.fetchCodeSystem(system);
        return found != null && found.getContent() == CodeSystem.CodeSystemContentMode.COMPLETE && found.hasConcept();
    }

    private static String bare(String system) {
        int bar = system.indexOf('|');
        return bar < 0 ? system : system.substring(0, bar);
    }
}
