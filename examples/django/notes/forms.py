"""The forms that visitors submit."""

from django import forms

from notes.models import Note


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["title", "body"]
        error_messages = {
            "title": {"required": "Please fill in the title."},
            "body": {"required": "Please fill in the body."},
        }


class FileForm(forms.Form):
    content = forms.FileField(
        max_length=255,
        allow_empty_file=True,
        error_messages={"required": "Please choose a file."},
    )


class SignInForm(forms.Form):
    name = forms.CharField(max_length=40, error_messages={"required": "Please fill in the name."})
