package org.wiserfhir.judge;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/** HL7's engine, set up for one line of the guides as the public validator is by default. */
final class LineValidator {
    private final FhirValidator validator;

    private LineValidator(FhirValidator validator) {
        this.validator = validator;
    }

    static LineValidator load(Packages packages, Suppressions suppressions) {
        FhirContext fhir = packages.getFhirContext();
        ValidationSupportChain chain = new ValidationSupportChain(
                packages,
                new SnapshotGeneratingValidationSupport(fhir),
                new OfflineTerminology(packages));
        // One fitting coding of a CodeableConcept is enough, as on a terminology server.
        chain.setCodeableConceptValidationSuccessfulIfNotAllCodingsAreValid(true);
        FhirInstanceValidator engine = new FhirInstanceValidator(chain);
        engine.setAnyExtensionsAllowed(true);
        engine.setErrorForUnknownProfiles(false);
        engine.setNoTerminologyChecks(false);
        engine.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        engine.setValidatorPolicyAdvisor(new Policy(suppressions));
        return new LineValidator(fhir.newValidator().registerValidatorModule(engine));
    }

    /** References inside a Bundle are always followed; those that lead outside are not. */
    private static final class Policy extends BasePolicyAdvisorForFullValidation {
        private final Suppressions suppressions;

        Policy(Suppressions suppressions) {
            super(ReferenceValidationPolicy.IGNORE, Set.of());
            this.suppressions = suppressions;
        }

        /** Asked before a message counts, so that what is left out also fails no profile or slice. */
        @Override
        public boolean isSuppressMessageId(String path, String messageId) {
            return suppressions.covers(messageId);
        }
    }

    List<SingleValidationMessage> validate(String resource, List<String> profiles) {
        ValidationOptions options = new ValidationOptions();
        profiles.forEach(options::addProfile);
        return validator.validateWithResult(resource, options).getMessages();
    }
}
