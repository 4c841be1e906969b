package org.wiserfhir.judge;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.stream.Collectors;

/** The message ids that suppressions.tsv takes out of the judgement, each with its reason there. */
record Suppressions(Set<String> ids) {
    static Suppressions read() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(
                Suppressions.class.getResourceAsStream("/suppressions.tsv"), StandardCharsets.UTF_8))) {
            return new Suppressions(in.lines()
                    .filter(line -> !line.isBlank() && !line.startsWith("#"))
                    .map(line -> line.split("\t", 2)[0])
                    .collect(Collectors.toUnmodifiableSet()));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    boolean covers(String messageId) {
        return ids.contains(messageId);
    }
}
