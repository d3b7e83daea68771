# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = 'va_tts'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=False,
    maintainer='Voice Assistant maintainers',
    maintainer_email='maintainers@voice-assistant.example',
    description='The voice of the assistant: Kokoro, the speaker, playback events',
    license='Apache-2.0',
    entry_points={'console_scripts': ['tts = va_tts.main:main']},
)
