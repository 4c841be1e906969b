// Hands the Questionnaire that came with the page to LHC-Forms, and says when it is there.
const shown = document.getElementById("form");
const questionnaire = JSON.parse(document.getElementById("questionnaire").textContent);
const options = { readonlyMode: document.body.dataset.readonly === "true", hideFormControls: true };

LForms.Util.addFormToPage(questionnaire, shown, options).then(
  () => {
    shown.dataset.state = "ready";
  },
  (fault) => {
    shown.dataset.state = "failed";
    shown.textContent = `LHC-Forms could not show this form: ${fault}`;
  },
);
